//! `check`, `diff` and `reset`: from a fresh clone to the last hole.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::sandbox::{Chapter, Outcome, Sandbox, run, run_in_colour, scaled, within};

/// The way of a reader who makes no mistake: after each hole, the check names the next.
#[test]
fn every_hole_leads_to_the_next() {
    let chapters = Mutex::new(Chapter::all().into_iter());
    assert_ne!(chapters.lock().unwrap().len(), 0);
    let walk_all = || {
        let sandbox = Sandbox::to_build_in();
        loop {
            let next = chapters.lock().unwrap().next();
            let Some(chapter) = next else { return };
            walk(&sandbox, &chapter);
        }
    };
    // Compiling one test takes one core, more or less.
    thread::scope(|scope| {
        let walkers = [scope.spawn(walk_all), scope.spawn(walk_all)];
        walkers.into_iter().for_each(|walker| walker.join().unwrap());
    });
}

/// Fills one hole of a chapter after the other; half of them at once after the first two chapters,
/// for each step compiles a test.
fn walk(sandbox: &Sandbox, chapter: &Chapter) {
    let (number, file) = (chapter.number().to_string(), format!("tests/{}.rs", chapter.test()));
    let holes = chapter.holes();
    let first = run(sandbox.course(&["check", &number]))
        .ends_with(1)
        .notes(&format!("{file} is yours now"));
    names(&first, &holes[0].number, &holes[0].text);
    assert!(sandbox.read(&file) == chapter.filled(|_| true), "{file} is not the starter");

    let step = if chapter.number() <= 2 { 1 } else { holes.len().div_ceil(2) };
    for (filled, hole) in holes.iter().enumerate().step_by(step).skip(1) {
        let still_open = |n: &str| holes[filled..].iter().any(|hole| hole.number == n);
        sandbox.write(&file, chapter.filled(still_open));
        let outcome = run(sandbox.course(&["check", &number])).ends_with(1).notes_nothing();
        names(&outcome, &hole.number, &hole.text);
    }

    sandbox.write(&file, chapter.filled(|_| false));
    let passes = run(sandbox.course(&["check", &number])).ends_with(0).notes_nothing();
    let passes = passes.says("All ").says(&format!("cargo course diff {number}"));
    println!("{} passes; that check took {:?}", chapter.slug, passes.time);
    // The same by plain cargo, which has nothing to build again.
    let plain = run(sandbox.cargo(&["test", "--test", &chapter.test()])).ends_with(0);
    assert!(!plain.err.contains("Compiling"), "{plain}");
    plain.says("test examine::chapter_").says("1 passed");
}

/// Asserts that a report names this hole as the next, says where it is, and says nothing else.
#[track_caller]
fn names(outcome: &Outcome, hole: &str, text: &str) {
    let lines = outcome.out.lines().collect::<Vec<_>>();
    let [next, place, "", count] = lines[..] else { panic!("{outcome}") };
    assert_eq!(next, format!("Next is TODO {hole}: {text}"), "{outcome}");
    assert!(place.starts_with("  tests/my_"), "{outcome}");
    assert!(count.contains(" checks pass. A hint: cargo course hint "), "{outcome}");
}

/// Whatever hangs, spins or sleeps for ever: an answer comes in two seconds, and says which it was.
#[test]
fn what_does_not_end_is_ended_and_explained() {
    let (sandbox, chapter) = (Sandbox::to_build_in(), Chapter::park());
    let busy_loop = "loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }";
    for (hole, code, tag) in [
        ("4.2", "loop {}", "never-returns"),
        ("4.2", "loop { thread::park() }", "lost-wake"),
        ("4.3", "", "lost-wake"),
        ("4.1", busy_loop, "busy-poll"),
    ] {
        sandbox.write("tests/my_04_park.rs", chapter.filled_but(hole, code));
        sandbox.usual();
        let mut times = Vec::new();
        let in_time = (0..3).any(|_| {
            let usual = sandbox.usual();
            let outcome = run(sandbox.course(&["check", "4"])).ends_with(1).notes_nothing();
            let outcome = outcome.says("Not yet: 4.").says(&format!("\n[{tag}] "));
            times.push(outcome.time);
            // The exam itself waits for 1.5 s; on a busy machine, for what spins, up to three times that.
            let exam = Duration::from_millis(1600);
            let busy = scaled(exam) > exam;
            let limit = if busy { 3 * exam } else { exam } + 3 * usual;
            outcome.time < scaled(limit.max(Duration::from_secs(2)))
        });
        println!("{tag}: answered after {times:?}");
        assert!(in_time, "{tag}: answered after {times:?}");
        assert!(within(scaled(Duration::from_secs(10)), || sandbox.processes().is_empty()));
    }
}

#[test]
fn the_compiler_has_the_first_word() {
    let (sandbox, chapter) = (Sandbox::to_build_in(), Chapter::park());
    sandbox
        .write("tests/my_04_park.rs", chapter.filled_but("4.1", "let unused = 1; future.poke()"));
    let outcome = run(sandbox.course(&["check", "4"])).ends_with(1).notes_nothing();
    let outcome = outcome.says("error[E0599]").says("tests/my_04_park.rs:");
    for noise in ["Compiling", "warning", "could not compile", "aborting", "Caused by", "todo"] {
        assert!(!outcome.out.contains(noise), "{noise} in\n{outcome}");
    }
    // In colour, where colour is wanted.
    let coloured = run_in_colour(sandbox.course(&["check", "4"]).env("CLICOLOR_FORCE", "1"));
    assert!(coloured.out.contains("\x1b["), "{coloured}");
    run({
        let mut command = sandbox.course(&["check", "4"]);
        command.env("NO_COLOR", "1");
        command
    })
    .ends_with(1);

    // What else does not compile is named.
    let broken = sandbox.read("src/ch01_future.rs") + "\nfn broken() -> u8 { \"no\" }\n";
    sandbox.write("src/ch01_future.rs", broken);
    run(sandbox.course(&["check", "4"]))
        .ends_with(1)
        .says("error[E0308]")
        .says("git restore src/ch01_future.rs");
    run(sandbox.course(&["run", "4"])).ends_with(1).says("error[E0308]");
}

/// The reference is shown when the chapter passes, and not before unless asked for.
#[test]
fn the_reference_is_for_afterwards() {
    let (sandbox, chapter) = (Sandbox::to_build_in(), Chapter::park());
    let file = "tests/my_04_park.rs";
    run(sandbox.course(&["diff", "4"])).ends_with(1).notes("cargo course check 4");
    assert!(!sandbox.path(file).exists());

    sandbox.write(file, chapter.filled(|number| number == "4.7"));
    let folded = run(sandbox.course(&["diff", "4"])).ends_with(1).notes("--anyway");
    assert_eq!(folded.out, "");
    let shown = run(sandbox.course(&["diff", "4", "--anyway"])).ends_with(0);
    let shown = shown.says("4.7 · ").says("\n-             todo!(\"4.7: ").says("\n+ ");
    assert!(!shown.out.contains("4.1 · "), "{shown}");
    shown.says("The same, line for line: 4.1, 4.2, 4.3, 4.4, 4.5, 4.6.");

    // How it is indented makes no difference.
    let indented = chapter.filled(|_| false).replace("\n    ", "\n      ");
    sandbox.write(file, indented);
    run(sandbox.course(&["diff", "--anyway"])).ends_with(0).says("the same, line for line");

    // Another way to do 4.3, and a line of the reader's own.
    let unconditional = "self.woken.swap(true, Ordering::Release);\n        self.thread.unpark();";
    let own = chapter.filled_but("4.3", unconditional);
    let own = own.replace("use std::cell::RefCell;\n", "use std::cell::RefCell;\n// Mine.\n");
    sandbox.write(file, &own);
    let shown = run(sandbox.course(&["diff", "4"])).ends_with(0).says("\nElsewhere\n");
    let shown = shown.says("\n- // Mine.\n").says("\n4.3 · ");
    shown.says("\n-         self.woken.swap(true, Ordering::Release);\n");

    sandbox.write(file, chapter.filled(|_| false));
    run(sandbox.course(&["diff", "park"])).ends_with(0).says("the same, line for line");
}

/// What a reader has written is never lost.
#[test]
fn a_reset_keeps_what_was_there() {
    let (sandbox, chapter) = (Sandbox::to_build_in(), Chapter::park());
    let (file, fresh) = ("tests/my_04_park.rs", chapter.filled(|_| true));
    run(sandbox.course(&["reset", "4"])).ends_with(0).notes("fresh");
    assert_eq!(sandbox.read(file), fresh);
    run(sandbox.course(&["reset", "4"])).ends_with(0).notes("nothing to reset");
    assert_eq!(sandbox.list("tests", "my_"), ["my_04_park.rs"]);

    for (n, text) in ["first version", "second version", "first version"].iter().enumerate() {
        sandbox.write(file, text);
        let kept = [1, 2, 1][n];
        run(sandbox.course(&["reset", "04-park"]))
            .ends_with(0)
            .notes(&format!("tests/my_04_park.rs.{kept}.bak"));
        assert_eq!(sandbox.read(file), fresh);
        assert_eq!(&sandbox.read(&format!("{file}.{kept}.bak")), text);
    }
    // What is not UTF-8 is kept as it is.
    sandbox.write(file, b"\xff\xfe");
    run(sandbox.course(&["reset", "4"])).ends_with(0);
    assert_eq!(fs::read(sandbox.path(&format!("{file}.3.bak"))).unwrap(), b"\xff\xfe");
    run(sandbox.course(&["reset"])).ends_with(2);
}

/// The example runs as by plain cargo, with its arguments and its exit code.
#[test]
fn an_example_runs() {
    let sandbox = Sandbox::to_build_in();
    let example = "fn main() {
        let arguments = std::env::args().skip(1).collect::<Vec<_>>();
        println!(\"given {arguments:?}\");
        std::process::exit(arguments.len() as i32 + 4);
    }";
    sandbox.write("chapters/04-park/example.rs", example);
    run(sandbox.course(&["run", "park", "--fast", "x"]))
        .ends_with(6)
        .notes_nothing()
        .says("given [\"--fast\", \"x\"]\n");
    let plain = run(sandbox.cargo(&["run", "--example", "04-park"])).ends_with(4);
    assert!(!plain.err.contains("Compiling"), "{plain}");
}
