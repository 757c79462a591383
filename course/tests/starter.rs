//! How a starter is made from its reference, and read again.

#[path = "../src/starter.rs"]
mod starter;

use starter::{Hole, holes, open_holes, tail, whole};

/// A layer with two holes, the second within an anchor of its own.
const LAYER: &str = r#"//! # Layer 9 · an example
//!
//! **Idea.** None.

#![forbid(unsafe_code)]

use crate::ch03_waker::counting;

// ANCHOR: first
pub fn first() -> u32 {
    // ANCHOR: todo_9_1 one more than zero
    let zero = 0;
    zero + 1
    // ANCHOR_END: todo_9_1
}
// ANCHOR_END: first

// ANCHOR: second
pub fn second() -> u32 {
    let two = 2;
    // ANCHOR: todo_9_2 twice that
    two * 2
    // ANCHOR_END: todo_9_2
}
// ANCHOR_END: second
"#;

/// What the chapter asks beyond the layer.
const EXTEND: &str = "\
pub fn third() -> u32 {
    // ANCHOR: todo_9_3 three

    3
    // ANCHOR_END: todo_9_3
}
";

fn hole(number: &str, text: &str) -> Hole {
    Hole { number: number.to_owned(), text: text.to_owned() }
}

#[test]
fn an_open_hole_is_a_todo_where_its_filling_stood() {
    let starter = starter::starter(LAYER, EXTEND, |_| true);
    let first = "pub fn first() -> u32 {\n    todo!(\"9.1: one more than zero\")\n}\n";
    let second = "    let two = 2;\n    todo!(\"9.2: twice that\")\n}\n";
    let third = "    pub fn third() -> u32 {\n        todo!(\"9.3: three\")\n    }\n}\n";
    assert!(starter.contains(first), "{starter}");
    assert!(starter.contains(second), "{starter}");
    assert!(starter.ends_with(third), "{starter}");
}

#[test]
fn no_mark_is_left_over() {
    for open in [true, false] {
        let starter = starter::starter(LAYER, EXTEND, |_| open);
        assert!(!starter.contains("ANCHOR"), "{starter}");
    }
}

#[test]
fn a_filled_hole_reads_as_the_reference() {
    let starter = starter::starter(LAYER, EXTEND, |number| number == "9.2");
    assert!(starter.contains("    let zero = 0;\n    zero + 1\n}\n"), "{starter}");
    assert!(starter.contains("        3\n    }\n"), "{starter}");
    assert_eq!(open_holes(&starter), [hole("9.2", "twice that")]);
}

#[test]
fn the_layers_below_are_those_of_the_library() {
    let starter = starter::starter(LAYER, EXTEND, |_| true);
    assert!(starter.contains("use under_await::ch03_waker::counting;"), "{starter}");
    assert!(!starter.contains("use crate::"), "{starter}");
}

/// Where the checks play every order, the layer's locks are those that they can stop at.
#[test]
fn a_lock_is_the_models_where_orders_are_played() {
    let layer = LAYER.replace("use crate::ch03_waker::counting;", "use std::sync::Mutex;");
    assert!(layer.contains("use std::sync::Mutex;\n"), "{layer}");
    let played = "use crate::support::schedules::model::Mutex;\n";
    let starter = starter::starter(&layer, EXTEND, |_| true);
    assert!(!starter.contains(played), "{starter}");
    let extend = format!("use crate::support::schedules::point;\n{EXTEND}");
    let starter = starter::starter(&layer, &extend, |_| true);
    assert!(starter.contains(played), "{starter}");
}

/// A layer may have a second file. The reader's is one: what it names of the first is one level up.
#[test]
fn a_second_file_stands_where_it_is_declared() {
    let second = "//! # A part\n\nuse crate::ch03_waker::counting;\nuse crate::ch09_example::second;\n\n\
                  pub fn fourth() -> u32 {\n    \
                  // ANCHOR: todo_9_4 twice the second\n    \
                  2 * second()\n    \
                  // ANCHOR_END: todo_9_4\n}\n";
    let read = |path: &str| match path {
        "src/ch09_example.rs" => {
            Ok(format!("{LAYER}\npub mod part;\npub use self::part::fourth;\n"))
        }
        "src/ch09_example/part.rs" => Ok(second.to_owned()),
        other => Err(other.to_owned()),
    };
    let layer = whole("src/ch09_example.rs", read).unwrap();
    assert_eq!(holes(&layer), [holes(LAYER), vec![hole("9.4", "twice the second")]].concat());
    let part = "pub mod part {\n    //! # A part\n\n    use under_await::ch03_waker::counting;\n    \
                use super::second;\n\n    pub fn fourth() -> u32 {\n        \
                todo!(\"9.4: twice the second\")\n    }\n}\npub use self::part::fourth;\n";
    let starter = starter::starter(&layer, EXTEND, |_| true);
    assert!(starter.contains(part), "{starter}");
    assert_eq!(whole("src/ch09_other.rs", read), Err("src/ch09_other.rs".to_owned()));
}

#[test]
fn the_module_doc_stays_at_the_top() {
    let starter = starter::starter(LAYER, EXTEND, |_| true);
    let (doc, code) = starter.split_at(starter.find("\n\n").unwrap());
    assert!(doc.lines().all(|line| line.starts_with("//!")), "{doc}");
    assert!(doc.contains("**Your turn.**"), "{doc}");
    assert!(!code.contains("//!"), "{code}");
}

#[test]
fn the_marks_name_the_holes_in_order() {
    let marked = [hole("9.1", "one more than zero"), hole("9.2", "twice that")];
    assert_eq!(holes(LAYER), marked);
    assert_eq!(holes(EXTEND), [hole("9.3", "three")]);
    let all = [holes(LAYER), holes(EXTEND)].concat();
    assert_eq!(open_holes(&starter::starter(LAYER, EXTEND, |_| true)), all);
}

#[test]
fn a_hole_is_open_however_rustfmt_breaks_its_line() {
    let text = "fn f() {\n    todo!(\n        \"4.10: a text as long as they come\"\n    )\n}\n";
    assert_eq!(open_holes(text), [hole("4.10", "a text as long as they come")]);
    assert_eq!(open_holes("todo!( \"4.1: a\" ); todo!(\"4.2: b\")").len(), 2);
}

#[test]
fn what_is_no_hole_is_not_counted() {
    for text in [
        "todo!()",
        "todo!(\"later\")",
        "todo!(\"note: later\")",
        "    // todo!(\"4.1: poll\")",
        "let x = 1; // todo!(\"4.1: poll\")",
        "//! Every `todo!` is a hole",
        "todo!(\"4.1",
        "todo!(",
    ] {
        assert_eq!(open_holes(text), [], "{text}");
    }
}

#[test]
fn the_tail_includes_the_suite_and_names_the_exam() {
    let tail = tail("04-park");
    assert!(tail.contains("include!(\"suites/04_park.rs\");"), "{tail}");
    assert!(tail.contains("exam(\"examine::chapter_04\", CHECKS)"), "{tail}");
    assert!(starter::tail("02-block-on").contains("suites/02_block_on.rs"));
}
