//! Runs checks, each in a process of its own, and says what the first wrong answer means.

use std::any::Any;
use std::cell::Cell;
use std::env;
use std::io::{self, Read, Write};
use std::panic::{self, PanicHookInfo};
use std::process::{self, Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use under_await::ledger::Ledger;
use under_await::sys;

use super::scaled;
use super::story;

/// One thing the code under examination must do.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The hole it examines: `4.2` is the second of chapter 4.
    pub hole: &'static str,
    /// The other holes that it runs through: the mistake may be there.
    pub with: &'static [&'static str],
    /// Its name, a claim in snake case.
    pub name: &'static str,
    /// The rule that it checks, in a sentence.
    pub rule: &'static str,
    /// Panics unless the rule is kept.
    pub run: fn(),
}

/// What came out of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rule is kept.
    Pass,
    /// The code still says `todo!`: here with the text of that hole.
    Todo(String),
    /// The rule is broken: the tag of the mistake, and what to tell the reader.
    Fail(String, String),
}

/// How long a check may take before it counts as hanging.
pub const LIMIT: Duration = Duration::from_millis(1500);
/// The variable that tells the process of a check which one it is for.
const WHICH: &str = "UNDER_AWAIT_CHECK";
/// The variable with which the companion asks for the bare report.
const BARE: &str = "UNDER_AWAIT_BARE";
/// What stands before and after a verdict on the standard output of a check's process. What comes
/// before it was printed by the code under examination.
const MARK: &str = "\u{1e}";

/// Examines a reader's file: stops at the first check that does not pass, and reports it.
///
/// `test` is the name of the test that calls this; the checks' processes start from it.
pub fn exam(test: &str, checks: &[Check]) {
    let keys = checks.iter().map(|check| (check.name.to_owned(), *check)).collect::<Vec<_>>();
    examinee(&keys);
    if env::var_os(BARE).is_some() {
        end_with_the_parent();
    }
    for (passed, key) in keys.iter().enumerate() {
        let (verdict, printed) = examine(test, &key.0);
        if verdict != Verdict::Pass {
            report(&story::failure(&key.1, &verdict, &printed, passed, checks.len()), 1);
            // No message: the report has said everything.
            panic::resume_unwind(Box::new(()));
        }
    }
    report(&format!("All {} checks pass.\n", checks.len()), 0);
}

/// Prints a report; for the companion, ends the process with it.
fn report(text: &str, code: i32) {
    if env::var_os(BARE).is_some() {
        let _ = write!(std::io::stderr(), "{text}");
        process::exit(code);
    }
    println!("\n{text}");
}

/// Examines every check, and returns the verdicts in order. Each has a key of its own, for several
/// subjects may be examined by the same checks.
pub fn verdicts(test: &str, keys: &[(String, Check)]) -> Vec<Verdict> {
    examinee(keys);
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![Verdict::Pass; keys.len()]);
    let examiner = || {
        while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (verdict, _) = examine(test, &key.0);
            let index = keys.iter().position(|(name, _)| *name == key.0).unwrap();
            verdicts.lock().unwrap()[index] = verdict;
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(examiner);
        }
    });
    verdicts.into_inner().unwrap()
}

/// Examines one check in a new process; returns what it printed as well.
fn examine(test: &str, key: &str) -> (Verdict, String) {
    // One pipe for both, so that what is printed stays in order.
    let (pipe, write) = io::pipe().expect("a pipe costs two descriptors");
    let mut child = Command::new(env::current_exe().expect("a running test has a path"))
        .args(["--exact", test, "--nocapture"])
        .env(WHICH, key)
        // Held open until the process has ended: see `end_with_the_parent`.
        .stdin(Stdio::piped())
        .stdout(write.try_clone().expect("a descriptor can be doubled"))
        .stderr(write)
        .spawn()
        .expect("a test can start itself again");
    let output = read_to_end(pipe);
    // The process ends itself in time, after three limits at most if it computes (see `charge`); this
    // is for the one that cannot even do that.
    let status = wait(&mut child, 4 * scaled(LIMIT) + Duration::from_secs(5));
    let output = output.join().unwrap();

    let mut parts = output.split(MARK);
    let printed = parts.nth(1).unwrap_or_default().to_owned();
    let verdict = match (parts.next(), parts.next()) {
        (Some("pass"), _) => Verdict::Pass,
        (Some("todo"), Some(text)) => Verdict::Todo(text.to_owned()),
        (Some(tag), Some(text)) => Verdict::Fail(tag.to_owned(), text.to_owned()),
        _ => Verdict::Fail("crashed".to_owned(), story::crash(status, &printed)),
    };
    (verdict, printed)
}

/// Reads a pipe to its end on a thread of its own.
fn read_to_end(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for `child`, and kills it when `limit` has passed.
fn wait(child: &mut Child, limit: Duration) -> process::ExitStatus {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("our own child can be waited for") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// In a process started for a check: runs it and ends the process with the verdict.
fn examinee(keys: &[(String, Check)]) {
    let Ok(which) = env::var(WHICH) else { return };
    let check = keys.iter().find(|(key, _)| *key == which);
    let (_, check) = check.unwrap_or_else(|| panic!("there is no check `{which}`"));
    end_with_the_parent();
    print!("{MARK}");
    panic::set_hook(Box::new(verdict_of_panic));
    let ledger = Ledger::open();
    thread::spawn(move || watchdog(&ledger));
    (check.run)();
    deliver("pass", "");
}

/// Ends this process when the one that started it has ended, however it did: our standard input
/// is a pipe from there, and ends with it. Nobody is left to hear the verdict, and a check that
/// spins would take the processor from the next one.
fn end_with_the_parent() {
    thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        process::exit(1);
    });
}

/// Sees to it that the check comes to an end, and says why it did not by itself.
fn watchdog(ledger: &Ledger) {
    let limit = scaled(LIMIT);
    // The processor's time is looked at often, to know how much of it the end of the story took.
    let (mut lines, mut busy_since) = (0, sys::cpu_time());
    let (mut charged, mut clock, mut cpu) = (Duration::ZERO, Instant::now(), sys::cpu_time());
    while charged < limit {
        for _ in 0..10 {
            thread::sleep(limit / 100);
            let now = ledger.lines();
            if now != lines {
                (lines, busy_since) = (now, sys::cpu_time());
            }
        }
        let (now, passed) = (sys::cpu_time(), clock.elapsed());
        charged += charge(passed, since(cpu, now).unwrap_or_default());
        (clock, cpu) = (Instant::now(), now);
    }
    let (tag, text) = story::hang(ledger, limit, since(busy_since, sys::cpu_time()));
    deliver(tag, &text);
}

/// How much of the time that has `passed` counts. Who sleeps is charged all of it. Who computes is
/// charged what it had of the processor, and a third of the time at least: on a machine that is
/// busy with other things, right code is slow as well.
fn charge(passed: Duration, computed: Duration) -> Duration {
    if computed < passed / 20 { passed } else { computed.clamp(passed / 3, passed) }
}

/// The processor's time between two looks at it.
fn since(then: Option<Duration>, now: Option<Duration>) -> Option<Duration> {
    now.zip(then).map(|(now, then)| now.saturating_sub(then))
}

thread_local! {
    /// Whether a panic on this thread is what the check wants to see.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, which should panic, and returns the panic's message, or `None` if it did not.
pub fn panics(f: impl FnOnce()) -> Option<String> {
    let before = EXPECTED.replace(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(f));
    EXPECTED.set(before);
    let payload = result.err()?;
    Some(text_of(&*payload).unwrap_or_default())
}

/// What a check knows of a sleep without an end: the tag, and what it means.
pub type Asleep = fn() -> (&'static str, &'static str);

/// See [`if_it_sleeps`].
static ASLEEP: Mutex<Option<Asleep>> = Mutex::new(None);

/// From now on, if this check does not come to an end because its thread sleeps, the reader is told what
/// `told` says. The ledger knows of polls and wakes, and not why a thread that makes none sleeps.
pub fn if_it_sleeps(told: Asleep) {
    *ASLEEP.lock().unwrap() = Some(told);
}

/// What the check has to say of its sleep, if it sleeps.
pub fn asleep() -> Option<(&'static str, &'static str)> {
    ASLEEP.lock().unwrap().map(|told| told())
}

/// The message of a panic.
pub fn text_of(payload: &(dyn Any + 'static)) -> Option<String> {
    let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
}

/// The first panic decides: no unwinding through half-written code, whose destructors may panic.
fn verdict_of_panic(panic: &PanicHookInfo<'_>) {
    let text = text_of(panic.payload());
    let text = text.as_deref().unwrap_or("a panic without a message");
    if let Some(hole) = todo(text) {
        deliver("todo", hole);
    }
    if EXPECTED.get() {
        return;
    }
    match text.strip_prefix('[').and_then(|text| text.split_once("] ")) {
        Some((tag, seen)) => deliver(tag, &story::seen(seen)),
        None => deliver(story::tag_of_panic(text), &story::panicked(text, panic.location())),
    }
}

/// The text of the hole, if this is the message of a `todo!`.
fn todo(text: &str) -> Option<&str> {
    let hole = text.strip_prefix("not yet implemented")?;
    Some(hole.strip_prefix(": ").unwrap_or("of your own, without a text"))
}

/// Prints the verdict and ends the process.
fn deliver(tag: &str, text: &str) -> ! {
    // The thread that comes first has the say; the others wait here for the end.
    static SAID: Mutex<()> = Mutex::new(());
    let _said = SAID.lock();
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{MARK}{tag}{MARK}{text}{MARK}");
    let _ = out.flush();
    process::exit(0)
}
