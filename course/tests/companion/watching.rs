//! `watch`: an answer to every save, and nothing left behind.

use std::fs;
use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::sandbox::{Chapter, Lines, Sandbox, scaled, within};

const FILE: &str = "tests/my_04_park.rs";

/// A companion that watches; it is killed when this is dropped.
struct Watch {
    child: Child,
    /// What it prints, on either stream.
    lines: Lines,
}

impl Watch {
    /// Begins to watch.
    fn begin(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        // One pipe for both streams keeps their lines in order.
        let (pipe, write) = io::pipe().unwrap();
        let child = sandbox
            .course(&[&["watch"], arguments].concat())
            .stdout(write.try_clone().unwrap())
            .stderr(write)
            .spawn()
            .unwrap();
        Watch { child, lines: Lines::of(pipe) }
    }

    /// Waits for a line that contains `text`, and says how long that took.
    #[track_caller]
    fn says(&self, text: &str) -> Duration {
        let start = Instant::now();
        self.lines.until(text);
        start.elapsed()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_save_is_answered() {
    let (sandbox, chapter) = (Sandbox::to_build_in(), Chapter::park());
    let watch = Watch::begin(&sandbox, &["4"]);
    watch.says("is yours now");
    watch.says("Next is TODO 4.1");
    watch.says("0 of ");
    watch.lines.are_over();

    // A save, as most editors do it. A busy machine may be late once, but not three times.
    let mut times = Vec::new();
    let in_time = (0..3).any(|round| {
        let text = format!("// {round}\n") + &chapter.filled(|number| number > "4.1");
        sandbox.write(FILE, text);
        times.push(watch.says("Next is TODO 4.2"));
        let usual = sandbox.usual();
        watch.says("of ");
        times[round] < scaled((10 * usual).max(Duration::from_secs(2)))
    });
    println!("a save was answered after {times:?}");
    assert!(in_time, "a save was answered after {times:?}");

    // A save by replacing the file, as vim and others do it.
    fs::rename(sandbox.path(FILE), sandbox.path("tests/my_04_park.rs~")).unwrap();
    sandbox.write("tests/4913", chapter.filled(|number| number > "4.2"));
    fs::rename(sandbox.path("tests/4913"), sandbox.path(FILE)).unwrap();
    watch.says("Next is TODO 4.3");
    watch.says("of ");

    // Something that does not compile, and something that is not text.
    sandbox.write(FILE, chapter.filled_but("4.1", "future.poke()"));
    watch.says("error[E0599]");
    sandbox.write(FILE, b"\xff");
    watch.says("not UTF-8");

    // No file at all.
    fs::remove_file(sandbox.path(FILE)).unwrap();
    watch.says("is gone. Save it again");
    watch.lines.are_over();
    sandbox.write(FILE, chapter.filled(|_| false));
    watch.says("All ");

    // What is not an exercise is not checked.
    sandbox.write("tests/my_notes.rs", "");
    sandbox.write("tests/other.rs", "");
    fs::remove_file(sandbox.path("tests/my_notes.rs")).unwrap();
    watch.says("cargo course diff 4");
    watch.says("hapter");
    watch.lines.are_over();
}

/// A save calls off the check that is running, and however the companion ends, nothing that it has
/// started goes on.
#[test]
fn what_hangs_is_not_waited_for() {
    let (sandbox, chapter) = (Sandbox::to_build_in(), Chapter::park());
    let hangs = chapter.filled_but("4.2", "loop {}");
    sandbox.write(FILE, &hangs);
    let mut watch = Watch::begin(&sandbox, &["park"]);
    let exam_and_check = || {
        let two = || sandbox.processes().len() == 2;
        assert!(within(scaled(Duration::from_secs(60)), two) || !cfg!(target_os = "linux"));
    };
    exam_and_check();
    sandbox.write(FILE, chapter.filled(|_| false));
    let time = watch.says("All ");
    println!("a save during a check was answered after {time:?}");

    watch.says("cargo course diff");
    sandbox.write(FILE, &hangs);
    exam_and_check();
    // Not even this, which no program can catch, leaves anything behind.
    watch.child.kill().unwrap();
    watch.child.wait().unwrap();
    assert!(within(scaled(Duration::from_secs(10)), || sandbox.processes().is_empty()));
}
