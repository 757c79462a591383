//! What can go wrong, and the sentence that says what to do. None of this needs a compiler.

use std::fs;

use crate::sandbox::{Chapter, Sandbox, run};

/// The reader's file of the chapter that is used here.
const FILE: &str = "tests/my_04_park.rs";

#[test]
fn a_chapter_has_many_names() {
    let sandbox = Sandbox::new();
    for name in
        ["4", "04", "park", "04-park", "Park", FILE, "src/ch04_park.rs", "chapters/04-park/"]
    {
        run(sandbox.course(&["reset", name])).ends_with(0);
        fs::remove_file(sandbox.path(FILE)).unwrap();
    }
}

#[test]
fn a_chapter_that_is_not_there() {
    let sandbox = Sandbox::new();
    let summary = "- [1 · future](01-future/README.md)\n- [3 · waker](03-waker/README.md)\n\
                   - [4 · park](04-park/README.md)\n- [7 · select]()\n";
    sandbox.write("chapters/SUMMARY.md", summary);
    let check = |name: &str| run(sandbox.course(&["check", name])).ends_with(2);
    check("99").notes("There is no chapter 99; written so far: 1, 3–4.\n");
    check("foo").notes("There is no chapter foo; written so far: 1, 3–4 (future, waker, park).\n");
    check("wakr").notes("Did you mean waker?");
    check("7").notes("Chapter 7 (select) is not written yet; written so far: 1, 3–4.\n");
    check("select").notes("Chapter 7 (select) is not written yet");
    for command in ["run", "watch", "hint", "diff", "reset", "read"] {
        run(sandbox.course(&[command, "99"])).ends_with(2).notes("There is no chapter 99");
    }
    let usage = run(sandbox.course(&["chek", "4"])).ends_with(2);
    usage.notes("check");
}

#[test]
fn a_chapter_without_exercises() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("chapters/04-park/extend.rs")).unwrap();
    for command in ["check", "watch", "hint", "diff", "reset"] {
        let outcome = run(sandbox.course(&[command, "4"]));
        assert_ne!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.err.contains("4"), "{outcome}");
    }
    run(sandbox.course(&[])).ends_with(0).says("no exercises");
}

#[test]
fn a_starter_that_was_filled_by_mistake() {
    let (sandbox, chapter) = (Sandbox::new(), Chapter::park());
    let starter = "chapters/04-park/starter.rs";
    let committed = sandbox.read(starter);
    let todo = committed.find("todo!(\"4.2: ").unwrap();
    let todo = committed[todo..].lines().next().unwrap();
    let filled = committed.replace(todo, "loop {}");
    assert_ne!(committed, filled);

    // Without a file of the reader's, the edits become one.
    sandbox.write(starter, &filled);
    run(sandbox.course_without_cargo(&["check", "4"])).notes("What you wrote into");
    assert_eq!(sandbox.read(starter), committed);
    assert_eq!(sandbox.read(FILE), chapter.filled(|_| true).replace(todo, "loop {}"));
    run(sandbox.course_without_cargo(&["check", "4"])).notes("cargo cannot be started");

    // With one, they are kept beside it, once.
    let mine = sandbox.read(FILE);
    sandbox.write(starter, &filled);
    for _ in 0..2 {
        let outcome = run(sandbox.course_without_cargo(&["check", "4"]));
        outcome.notes("tests/my_04_park.rs.1.bak").notes(&format!("git restore {starter}"));
    }
    assert_eq!(sandbox.read(FILE), mine);
    assert_eq!(sandbox.read("tests/my_04_park.rs.1.bak"), filled);
    assert_eq!(sandbox.list("tests", "my_").len(), 2);
}

/// Readers may tinker with the layers: that is not an edited starter.
#[test]
fn a_layer_that_was_changed() {
    let sandbox = Sandbox::new();
    let committed = sandbox.read("chapters/04-park/starter.rs");
    let layer = sandbox.read("src/ch04_park.rs");
    sandbox.write(
        "src/ch04_park.rs",
        layer.replace("AtomicBool::new(false)", "AtomicBool::new(true)"),
    );
    run(sandbox.course_without_cargo(&["check", "4"])).notes("is yours now");
    assert_eq!(sandbox.read("chapters/04-park/starter.rs"), committed);
    assert!(sandbox.read(FILE).starts_with(committed.trim_end()));
}

#[test]
fn a_file_that_was_deleted() {
    let (sandbox, chapter) = (Sandbox::new(), Chapter::park());
    run(sandbox.course_without_cargo(&["check", "4"])).notes("is yours now");
    fs::create_dir_all(sandbox.target("course")).unwrap();
    fs::write(sandbox.target("course/04-park.txt"), "checked 1 todo\n").unwrap();
    fs::remove_file(sandbox.path(FILE)).unwrap();
    run(sandbox.course_without_cargo(&["check", "4"])).notes("was gone: here is a fresh one");
    assert_eq!(sandbox.read(FILE), chapter.filled(|_| true));
}

#[test]
fn checks_that_were_damaged_are_put_back() {
    let (sandbox, chapter) = (Sandbox::new(), Chapter::park());
    let whole = chapter.filled(|_| true);
    let (code, checks) = whole.split_at(whole.find("\n// ── The checks").unwrap());
    let damaged = [
        code.to_owned(),
        format!("{code}{}", checks.replace("CHECKS", "CHECK")),
        format!(
            "{code}{}",
            checks.replace("// ── The checks. Nothing to edit below this line. ──\n", "")
        ),
        format!("{code}{checks}\nfn more() {{}}\n"),
        format!("{code}\nmod support;\n"),
    ];
    for (n, text) in damaged.iter().enumerate() {
        sandbox.write(FILE, text);
        let backup = format!("{FILE}.{}.bak", n + 1);
        run(sandbox.course_without_cargo(&["check", "4"])).notes("they are back").notes(&backup);
        assert_eq!(sandbox.read(FILE), whole, "of\n{text}");
        assert_eq!(&sandbox.read(&backup), text);
    }
    // What an editor may change is no damage.
    for text in [whole.replace('\n', "\r\n"), whole.trim_end().to_owned(), whole + "\n\n"] {
        sandbox.write(FILE, &text);
        let outcome = run(sandbox.course_without_cargo(&["check", "4"]));
        assert!(!outcome.err.contains("back"), "{outcome}");
        assert_eq!(sandbox.read(FILE), text);
    }
}

#[test]
fn a_file_that_is_not_utf_8() {
    let sandbox = Sandbox::new();
    sandbox.write(FILE, b"fn main() { \"\xe9\" }");
    for command in ["check", "hint", "diff"] {
        run(sandbox.course(&[command, "4"])).ends_with(2).notes("not UTF-8");
    }
    run(sandbox.course(&[])).ends_with(0);
}

#[test]
fn a_file_that_cannot_be_made() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path(FILE)).unwrap();
    run(sandbox.course(&["check", "4"])).ends_with(2).notes(&format!("Cannot read {FILE}"));
    run(sandbox.course(&["reset", "4"])).ends_with(2).notes(&format!("Cannot read {FILE}"));
    fs::remove_dir_all(sandbox.path("tests")).unwrap();
    run(sandbox.course(&["check", "4"])).ends_with(2).notes(&format!("Cannot make {FILE}"));
    run(sandbox.course(&["watch", "4"])).ends_with(2).notes(&format!("Cannot make {FILE}"));
}

#[test]
fn a_checkout_that_is_not_whole() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("src/ch04_park.rs")).unwrap();
    run(sandbox.course(&["check", "4"])).ends_with(2).notes("git restore src/ch04_park.rs");
    sandbox.write("chapters/SUMMARY.md", "# Summary\n");
    run(sandbox.course(&[])).ends_with(2).notes("lists no chapter");
    fs::remove_dir_all(sandbox.path("chapters")).unwrap();
    run(sandbox.course(&[])).ends_with(2).notes("git restore chapters/SUMMARY.md");
    let mut elsewhere = sandbox.course(&[]);
    elsewhere.env("UNDER_AWAIT_ROOT", sandbox.path("gone"));
    run(elsewhere).ends_with(2).notes("no longer at");
}

#[test]
fn crates_that_are_not_on_this_machine() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.course(&["check", "4"]);
    // As with an empty registry and no network.
    command.env("CARGO_HOME", sandbox.target("home")).env("CARGO_NET_OFFLINE", "true");
    run(command).ends_with(2).notes("`cargo fetch` once");
}

#[test]
fn a_manifest_that_is_broken() {
    let sandbox = Sandbox::new();
    sandbox.write("Cargo.toml", "[package\n");
    run(sandbox.course(&["check", "4"])).ends_with(2).notes("cargo cannot build this");
}
