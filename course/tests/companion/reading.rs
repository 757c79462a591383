//! `cargo run` and `read`: the book, and the list of chapters.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use crate::sandbox::{Chapter, Sandbox, run};

#[test]
fn the_front_door_builds_the_book_and_lists_the_chapters() {
    let sandbox = Sandbox::new();
    let first = run(sandbox.course(&[])).ends_with(0).notes_nothing();
    assert!(sandbox.target("book/index.html").is_file());
    assert!(sandbox.target("book/04-park/README.html").is_file());
    let address = format!("file://{}", sandbox.target("book/index.html").display());
    let first = first.says(&address).says("To come: 5 handoff").says("7 holes");
    println!("the first time: {:?}", first.time);
    let made = fs::metadata(sandbox.target("book/index.html")).unwrap().modified().unwrap();

    let second = run(sandbox.course(&[])).ends_with(0).notes_nothing();
    println!("the second time: {:?}", second.time);
    let again = fs::metadata(sandbox.target("book/index.html")).unwrap().modified().unwrap();
    assert_eq!(made, again, "the book was built again");

    // A source that changes makes it stale.
    let text = sandbox.read("chapters/04-park/README.md") + "\nA last word.\n";
    sandbox.write("chapters/04-park/README.md", text);
    run(sandbox.course(&["read", "4"])).ends_with(0).says("/book/04-park/README.html");
    let page = fs::read_to_string(sandbox.target("book/04-park/README.html")).unwrap();
    assert!(page.contains("A last word."), "{page}");
    // Nothing is left of building it.
    assert_eq!(fs::read_dir(sandbox.target("")).unwrap().count(), 1);
}

#[test]
fn the_list_says_how_far_the_reader_is() {
    let (sandbox, chapter) = (Sandbox::to_build_in(), Chapter::park());
    let page = "# 4 · Park: a `block_on` that sleeps\n\n> **You will have** one.\n>\n\
                > **Time:** 15 minutes to read, 50 to build\n";
    sandbox.write("chapters/04-park/README.md", page);
    let list = || run(sandbox.course(&[])).ends_with(0);
    list().says("  4  Park: a block_on that sleeps").says("  15 + 50 min  7 holes");

    sandbox.write("tests/my_04_park.rs", chapter.filled(|number| number > "4.5"));
    list().says("2 of 7 left").says("cargo course check 4");
    sandbox.write("tests/my_04_park.rs", chapter.filled(|_| false));
    list().says("  15 + 50 min  not checked").says("cargo course check 4");
    run(sandbox.course(&["check"])).ends_with(0).says("All ");
    list().says("  15 + 50 min  passes");
    sandbox.write("tests/my_04_park.rs", chapter.filled_but("4.3", ""));
    run(sandbox.course(&["check"])).ends_with(1);
    list().says("  15 + 50 min  not yet");
}

#[test]
fn a_book_that_cannot_be_built_hides_no_chapter() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("chapters/03-waker/README.md")).unwrap();
    let failed = run(sandbox.course(&[])).ends_with(2).says("  4  ").notes("mdBook");
    failed.notes("03-waker/README.md");
    assert!(!sandbox.path("chapters/03-waker/README.md").exists());
    assert!(!sandbox.target("book").exists());
    run(sandbox.course(&["read"])).ends_with(2).notes("mdBook");

    // What mdBook merely warns of is passed on.
    sandbox.write("chapters/03-waker/README.md", "# 3\n\n{{#include nowhere.rs}}\n");
    run(sandbox.course(&["read"])).ends_with(0).notes("nowhere.rs");
}

#[test]
fn no_book_where_nothing_can_be_written() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.course(&[]);
    command.env("CARGO_TARGET_DIR", sandbox.path("Cargo.toml"));
    run(command).ends_with(2).says("  4  ").notes("Cannot make ");
}

#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    let sandbox = Sandbox::new();
    for arguments in [[].as_slice(), &["read"], &["--help"]] {
        let mut course = sandbox.course(arguments);
        let mut child = course.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "", "{arguments:?}");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}
