//! Turns what happened into what a reader is told.

use std::fmt::Write;
use std::panic::Location;
use std::process::ExitStatus;
use std::time::Duration;

use under_await::ledger::{Entry, Event, Ledger};

use super::exam::{self, Check, Verdict};
use super::many;

/// How many lines of a ledger a reader is shown.
const LINES: usize = FIRST + LAST;
/// Of a long one, how many from its beginning: where the story starts.
pub const FIRST: usize = 3;
/// And how many from its end: where it went wrong. A poll, its answer, a sleep and a wake are among them.
const LAST: usize = 5;
/// One that is shown whole: dots take a line as well.
const SHORT: usize = LINES + 1;

/// Every tag, and the rule behind it. `chapters/symptoms.md` has an entry for each.
pub const TAGS: &[(&str, &str)] = &[
    ("todo", "this part is yours to write"),
    (
        "unseen",
        "what one thread did before its `Release` is seen after the `Acquire` that reads it",
    ),
    ("busy-poll", "between two polls there is a wake"),
    ("lost-wake", "a wake at any moment after a poll began leads to another poll"),
    ("never-polled", "a future does nothing until somebody polls it"),
    ("never-woken", "whoever answers `Pending` has seen to it that a wake will come"),
    (
        "never-returns",
        "nothing runs on without an end: `poll` returns at once, and whatever waits sleeps",
    ),
    ("stuck", "a future that is woken is polled, and one that is ready is done"),
    ("polled-after-ready", "after `Ready` a future is not polled again"),
    ("answered-twice", "after `Ready` a future gives no second answer"),
    ("ran-too-early", "nothing of a future runs before its first poll"),
    ("out-of-step", "an `.await` is passed when its future is ready: not before, not later"),
    ("not-on-time", "a timer is due at its deadline: not before it, and not after it"),
    ("piles-up", "a future waits in one place, and leaves it when it is over or dropped"),
    ("wrong-bytes", "every byte arrives, once and in its place"),
    ("not-asked", "a call on a socket tells its state, and a wake does not"),
    ("wrong-result", "the answer is the one that was promised"),
    ("moved", "a future stays in one place from its first poll to its last"),
    ("leak", "each owner of the waker's data gives up its share: by `wake` or by `drop`"),
    ("freed-too-early", "what is behind a waker lives as long as its last waker"),
    ("wrong-type", "a pointer is used as what it was made from, and freed as that"),
    ("not-the-same", "wakers with the same pointer and the same table know each other"),
    ("wrong-wake", "one call of `wake` or `wake_by_ref` is one wake, and nothing else is"),
    ("woken-for-nothing", "one thing that comes free wakes one waiter, and nothing wakes none"),
    ("old-waker", "only the waker of the latest poll counts"),
    ("woken-under-lock", "while a lock is held nobody is woken, and no waker is dropped"),
    ("stray-wake", "a future that has let go of a thing is not woken for what becomes of it"),
    ("extra-call", "the kernel is asked once, and told nothing twice"),
    ("allocates", "the fast path does not allocate"),
    ("panicked", "a panic is for mistakes of the caller, and there was none"),
    ("crashed", "calls come to an end, and what `unsafe` promises is true"),
    (
        "misread",
        "0 bytes are the end, `EAGAIN` is not yet, `EINTR` is once more, and the rest are errors",
    ),
    ("waits-for-one", "a wait for many is a wait for all of them at once, and none holds it up"),
    ("spins", "while nothing has come, nothing is asked: the thread sleeps"),
    ("both-wait", "whoever waits for the other side has told it all that it waits for"),
    ("slept-through", "what comes before the sleep ends it as well"),
    ("too-early", "a wait lasts as long as it was asked to, or longer"),
    ("data-lost", "what was written is read: all of it, once, in order"),
    ("still-there", "a loser is dropped: once, and before anybody sees the answer"),
    ("starves", "whatever is ready gets its turn, whatever else is ready"),
    ("lost-progress", "what is dropped begins anew: what is to go on is kept"),
    ("not-given-back", "what was taken for a while is given back, on every path, and once"),
    ("not-passed-on", "a waiter that is called, and dropped before it goes on, passes the call on"),
    ("overtaken", "those that wait are called in the order in which they came"),
    ("overwritten", "what is there and is not ours to change stays as it was"),
    ("no-limit", "whatever could go on, or grow, without an end has a limit"),
    ("goes-down", "what goes wrong for one ends nothing for the others"),
    ("cut-short", "who is let in is heard to the end, and who would not be is turned away"),
];

/// The rule behind `tag`.
pub fn rule(tag: &str) -> &'static str {
    let found = TAGS.iter().find(|(known, _)| *known == tag);
    found.unwrap_or_else(|| panic!("`{tag}` is not in TAGS")).1
}

/// The report on the first check that did not pass.
pub fn failure(
    check: &Check,
    verdict: &Verdict,
    printed: &str,
    passed: usize,
    all: usize,
) -> String {
    let chapter = check.hole.split('.').next().unwrap_or_default();
    let mut text = String::new();
    match verdict {
        Verdict::Pass => {}
        Verdict::Todo(hole) => {
            let _ = writeln!(text, "Next is TODO {hole}");
        }
        Verdict::Fail(tag, seen) => {
            let name = check.name.replace('_', " ");
            let _ =
                writeln!(text, "Not yet: {} · {name}\n\n[{tag}] {}", check.hole, seen.trim_end());
            let _ = writeln!(text, "\nThe rule: {}.", rule(tag));
            let _ = write!(text, "{}", elsewhere(check));
            let _ = writeln!(text, "More on it: chapters/symptoms.md, [{tag}].");
        }
    }
    let printed = printed.trim_end();
    if !printed.is_empty() {
        let _ = writeln!(text, "\nYour code printed:\n{}", indented(printed));
    }
    let _ = writeln!(text, "\n{passed} of {all} checks pass. A hint: cargo course hint {chapter}");
    text
}

/// What a wrong answer teaches: which check, what was seen, which rule it breaks.
pub fn lesson(check: &Check, tag: &str, seen: &str) -> String {
    let (hole, name, seen) = (check.hole, check.name.replace('_', " "), seen.trim_end());
    let (rule, elsewhere) = (rule(tag), elsewhere(check));
    format!("Not yet: {hole} · {name}\n\n[{tag}] {seen}\n\nThe rule: {rule}.\n{elsewhere}")
}

/// A line on the other holes that a check runs through, if there are any.
fn elsewhere(check: &Check) -> String {
    match check.with {
        [] => String::new(),
        [one] => format!("This check also runs {one}: the mistake may be there.\n"),
        [more @ .., last] => format!(
            "This check also runs {} and {last}: the mistake may be there.\n",
            more.join(", ")
        ),
    }
}

/// What a check saw, and what had happened up to then.
pub fn seen(text: &str) -> String {
    let mut text = text.trim_end().to_owned();
    if let Some(ledger) = Ledger::current() {
        text += &happened(&ledger);
    }
    text
}

/// The tag of a panic that no check asked for. Some of std's say which rule was broken.
pub fn tag_of_panic(text: &str) -> &'static str {
    let polled_again = text.starts_with("`async fn` resumed after completion");
    if polled_again { "polled-after-ready" } else { "panicked" }
}

/// A panic that no check asked for.
pub fn panicked(text: &str, at: Option<&Location<'_>>) -> String {
    // A place in std or in a crate says nothing to those who cannot look there.
    let elsewhere = |file: &str| file.starts_with("/rustc/") || file.contains("/registry/src/");
    let at = at.filter(|at| !elsewhere(at.file()));
    let place = at.map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
    seen(&format!("The code panicked: {text}{place}."))
}

/// A process that died without a verdict.
pub fn crash(status: ExitStatus, errors: &str) -> String {
    if errors.contains("has overflowed its stack") {
        return "The stack overflowed: a function calls itself without an end.".to_owned();
    }
    let last_words = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    format!("The process of this check died: {status}. {last_words}")
}

/// A check that did not come to an end: reads the ledger the way a teacher would. `busy` is the
/// processor time used since the ledger's last line.
pub fn hang(ledger: &Ledger, limit: Duration, busy: Option<Duration>) -> (&'static str, String) {
    let entries = ledger.entries();
    let last = |event| entries.iter().rposition(|entry| entry.event == event);
    let polls = ledger.count(Event::Poll);
    let wakes = ledger.count(Event::Wake);
    let calls = calls(ledger);
    let told = exam::asleep();
    let spins = busy.is_some_and(|busy| busy > ledger.quiet() / 20 && busy > limit / 50);
    let (tag, why) = if spins {
        let inside = last(Event::Poll) > last(Event::Pending).max(last(Event::Ready));
        (
            "never-returns",
            if entries.is_empty() {
                "The code keeps the processor busy: a loop without an end."
            } else if inside || polls == 0 {
                "Since then the code has kept the processor busy: a loop without an end."
            } else {
                "Since that answer nobody polls, and a loop without an end keeps the processor busy."
            },
        )
    } else if wakes > 1000 && polls > 1000 {
        ("spins", "It is woken and polled over and over, and nothing comes of it.")
    } else if last(Event::Poll) > last(Event::Pending).max(last(Event::Ready))
        && ledger.quiet() < limit / 10
    {
        ("never-returns", "The last poll goes on and on, one system call after the other.")
    } else if polls == 0 && calls > 1000 {
        ("spins", "It makes the same system calls over and over, and nothing comes of it.")
    } else if let Some(told) = told {
        told
    } else if polls == 0 && calls > 0 {
        ("slept-through", "It sleeps in a system call, and nothing that comes ends the sleep.")
    } else if polls == 0 && wakes > 0 {
        ("lost-wake", "It was woken, and what was to end then did not end.")
    } else if polls == 0 {
        ("never-polled", "Nobody polled the future.")
    } else if polls > wakes + 100 {
        ("busy-poll", "It is polled over and over, and nobody woke it.")
    } else if last(Event::Poll) > last(Event::Pending).max(last(Event::Ready)) {
        (
            "never-returns",
            "The last poll has not come back. It uses no processor, so it waits: for a lock, perhaps.",
        )
    } else if last(Event::Ready) > last(Event::Poll) {
        ("stuck", "The future was ready, and yet the code did not come to an end.")
    } else if last(Event::Wake) > last(Event::Poll) {
        ("lost-wake", "It was woken, and nobody polled afterwards.")
    } else if last(Event::Wake).is_none() {
        ("never-woken", "It answered `Pending`, and nobody called its waker.")
    } else {
        ("stuck", "Woken and polled, and yet it did not come to an end.")
    };
    let limit = limit.as_millis();
    (tag, format!("Not finished after {limit} ms.{}\n\n{why}", happened(ledger)))
}

/// The ledger as a paragraph: nothing if it is empty.
fn happened(ledger: &Ledger) -> String {
    let entries = ledger.entries();
    if entries.is_empty() {
        return String::new();
    }
    let (first, last) = shown(&entries);
    let mut text = "\n\nWhat happened:\n".to_owned();
    for entry in first {
        let _ = writeln!(text, "  {}", line(entry));
    }
    if first.len() < entries.len() {
        let _ = writeln!(text, "  … {} in all", count(ledger));
    }
    for entry in last {
        let _ = writeln!(text, "  {}", line(entry));
    }
    text.trim_end().to_owned()
}

/// The lines that a reader is shown, from the beginning and from the end.
fn shown(entries: &[Entry]) -> (&[Entry], &[Entry]) {
    match entries.len() {
        ..=SHORT => (entries, &[]),
        // What came after these was counted and not kept: the end is not known.
        Ledger::LINES.. => (&entries[..LINES], &[]),
        all => (&entries[..FIRST], &entries[all - LAST..]),
    }
}

/// How much a ledger holds.
fn count(ledger: &Ledger) -> String {
    match (ledger.count(Event::Poll), ledger.count(Event::Wake)) {
        (0, 0) => many(ledger.lines(), "line"),
        (polls, wakes) => format!("{} and {}", many(polls, "poll"), many(wakes, "wake")),
    }
}

/// How many system calls are in the ledger, as far as it keeps its lines.
fn calls(ledger: &Ledger) -> usize {
    let is_call = |entry: &&Entry| matches!(entry.event, Event::Call(_));
    ledger.entries().iter().filter(is_call).count()
}

/// A ledger's line as a reader is shown it.
fn line(Entry { at, thread, who, event }: &Entry) -> String {
    let thread = match thread {
        0 => String::new(),
        n => format!("  (thread {n})"),
    };
    let what = match event {
        Event::Poll => "poll".to_owned(),
        Event::Pending => "  → Pending".to_owned(),
        Event::Ready => "  → Ready".to_owned(),
        Event::Clone => "clone".to_owned(),
        Event::Wake => "wake".to_owned(),
        Event::Drop => "drop".to_owned(),
        Event::Park => "goes to sleep".to_owned(),
        Event::Unpark => "wakes up".to_owned(),
        Event::Call(name) => format!("{name}()"),
        Event::Note(note) => (*note).to_owned(),
    };
    format!("{:>5} ms  {who}: {what}{thread}", at.as_millis())
}

/// `text`, two spaces further to the right, twenty lines at most.
fn indented(text: &str) -> String {
    let mut lines = text.lines().take(20).map(|line| format!("  {line}")).collect::<Vec<_>>();
    if text.lines().count() > lines.len() {
        lines.push("  …".to_owned());
    }
    lines.join("\n")
}
