//! `hint`: one more each time.

use std::fs;

use crate::sandbox::{Chapter, Sandbox, run};

/// Hints for two holes.
const HINTS: &str = "\
# Hints for chapter 4

## 4.1

<!-- ANCHOR: hint_4_1 -->
Who owns the
thread?

---

Look at `park`.
<!-- ANCHOR_END: hint_4_1 -->

## 4.2

<!-- ANCHOR: hint_4_2 -->
Why not a plain `if`?
<!-- ANCHOR_END: hint_4_2 -->
";

/// A fresh clone with these hints.
fn with_hints(sandbox: Sandbox) -> Sandbox {
    sandbox.write("chapters/04-park/hints.md", HINTS);
    sandbox
}

#[test]
fn each_time_one_more() {
    let sandbox = with_hints(Sandbox::new());
    let hint = || run(sandbox.course(&["hint", "4"])).ends_with(0).notes_nothing();
    let first = hint().says("TODO 4.1: poll; ").says("Hint 1 of 2\nWho owns the thread?\n");
    assert!(!first.out.contains("park`."), "{first}");
    let second = hint().says("Hint 2 of 2\nLook at `park`.\n").says("the last hint for 4.1");
    assert!(!second.out.contains("Who owns"), "{second}");
    // After the last one, all of them.
    hint().says("Hint 1 of 2").says("Hint 2 of 2").says("the last hint");
    // No file is made for a hint.
    assert!(!sandbox.path("tests/my_04_park.rs").exists());
}

#[test]
fn a_hint_is_for_the_hole_the_reader_is_at() {
    let (sandbox, chapter) = (with_hints(Sandbox::new()), Chapter::park());
    sandbox.write("tests/my_04_park.rs", chapter.filled(|number| number != "4.1"));
    run(sandbox.course(&["hint"])).ends_with(0).says("TODO 4.2").says("Why not a plain");
    run(sandbox.course(&["hint", "4.1"])).ends_with(0).says("TODO 4.1").says("Hint 1 of 2");
    run(sandbox.course(&["hint", "04.1"])).ends_with(0).says("Hint 2 of 2");
    run(sandbox.course(&["hint", "4.99"])).ends_with(2).notes("4.1 to 4.7");
    run(sandbox.course(&["hint", "4."])).ends_with(2).notes("4.1 to 4.7");
    run(sandbox.course(&["hint", "99.1"])).ends_with(2).notes("There is no chapter 99");
    run(sandbox.course(&["hint", "4.7"])).ends_with(2).notes("no hint for 4.7");
}

#[test]
fn it_is_for_the_check_that_failed_if_that_comes_first() {
    let (sandbox, chapter) = (with_hints(Sandbox::to_build_in()), Chapter::park());
    sandbox.write("tests/my_04_park.rs", chapter.filled_but("4.2", "loop { thread::park() }"));
    run(sandbox.course(&["hint", "4"])).ends_with(0).says("`cargo course check 4` says");
    run(sandbox.course(&["check", "4"])).ends_with(1);
    run(sandbox.course(&["hint", "4"])).ends_with(0).says("TODO 4.2").says("Hint 1 of 1");
    // What is wrong comes before what is open.
    let open = chapter
        .filled_but("4.2", "loop { thread::park() }")
        .replace("*woken = false;\n        }", "todo!(\"4.4: wait\")\n        }");
    sandbox.write("tests/my_04_park.rs", open);
    run(sandbox.course(&["hint", "4"])).ends_with(0).says("TODO 4.2");
    // Nothing but the count is lost with what is remembered.
    fs::remove_dir_all(sandbox.target("course")).unwrap();
    run(sandbox.course(&["hint", "4.2"])).ends_with(0).says("Hint 1 of 1");

    sandbox.write("tests/my_04_park.rs", chapter.filled(|_| false));
    run(sandbox.course(&["check", "4"])).ends_with(0);
    run(sandbox.course(&["hint", "4"])).ends_with(0).says("passes");
}

#[test]
fn where_nothing_can_be_remembered_all_are_shown() {
    let sandbox = with_hints(Sandbox::new());
    // A file where a folder is needed.
    fs::create_dir(sandbox.target("")).unwrap();
    fs::write(sandbox.target("course"), "").unwrap();
    run(sandbox.course(&["hint", "4"])).ends_with(0).says("Hint 1 of 2").says("Hint 2 of 2");
}
