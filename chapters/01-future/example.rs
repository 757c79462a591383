//! One sum, twice: by hand and by the compiler. Polls both, and shows what each poll does. With the
//! argument `sizes` it shows how large the futures are that the chapter asks about.

use std::cell::RefCell;
use std::env;
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::task::Poll;

use under_await::ch01_future::{AddTwo, Countdown, add_two, poll_once};
use under_await::ledger::{self, Event, watch};

fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let shown = match env::args().nth(1).as_deref() {
        Some("sizes") => show_sizes(out),
        _ => show_polls(out),
    };
    match shown {
        // Whoever reads us has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

fn show_polls(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "`a.await + b.await`, twice: the answer to each poll, and what ran in it.\n")?;
    row(out, "", "AddTwo, written by hand", "async block")?;
    let mut by_hand = pin!(add_two(number('a', 2, 20), number('b', 1, 22)));
    let left = format!("-          {:<8}{}", state(&by_hand), ran());
    let (a, b) = (number('a', 2, 20), number('b', 1, 22));
    let mut block = pin!(async move { a.await + b.await });
    row(out, "made", &left, &format!("-          {}", ran()))?;
    for poll in 1.. {
        let answer = poll_once(by_hand.as_mut());
        let left = format!("{}{:<8}{}", word(answer), state(&by_hand), ran());
        let answer = poll_once(block.as_mut());
        let right = format!("{}{}", word(answer), ran());
        row(out, &format!("poll {poll}"), &left, &right)?;
        if answer.is_ready() {
            break;
        }
    }

    let [left, right] = [size_of_val(&*by_hand), size_of_val(&*block)];
    row(out, "bytes", &format!("~{left}"), &format!("~{right}"))
}

fn show_sizes(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "What a call gives back, in bytes, as this compiler lays it out.\n")?;
    for (call, bytes) in sizes() {
        writeln!(out, "  {call:<20}{bytes:>5}")?;
    }
    Ok(())
}

/// A line of the table.
fn row(out: &mut impl Write, head: &str, left: &str, right: &str) -> io::Result<()> {
    writeln!(out, "{}", format!("  {head:<9}{left:<42}{right}").trim_end())
}

/// An answer, in a column of its own.
fn word(answer: Poll<u32>) -> String {
    format!("{:<11}", format!("{answer:?}"))
}

/// The state that a sum is in.
fn state<A, B>(sum: &AddTwo<A, B>) -> &'static str {
    match sum {
        AddTwo::First { .. } => "First",
        AddTwo::Second { .. } => "Second",
        AddTwo::Done => "Done",
    }
}

thread_local! {
    /// What the numbers have said since it was last read.
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What ran since this was last asked.
fn ran() -> String {
    let said = SAID.take();
    if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
}

/// Pending `waits` times, ready with `value` after that, and says when it gets going.
async fn number(name: char, waits: u32, value: u32) -> u32 {
    SAID.with_borrow_mut(|said| said.push(format!("{name} starts")));
    Countdown::new(waits).await;
    SAID.with_borrow_mut(|said| said.push(format!("{name} is {value}")));
    value
}

// ANCHOR: sizes
async fn waits() {
    Countdown::new(1).await;
}

async fn waits_twice() {
    Countdown::new(1).await;
    Countdown::new(2).await;
}

async fn keeps() -> u8 {
    let page = [7; 100];
    Countdown::new(1).await;
    page[99]
}

async fn forgets() -> u8 {
    let page = [7; 100];
    let last = page[99];
    Countdown::new(1).await;
    last
}

async fn is_given(page: [u8; 100]) -> u8 {
    Countdown::new(1).await;
    page[99]
}

async fn calls() -> u8 {
    keeps().await + keeps().await
}
// ANCHOR_END: sizes

/// How many bytes a call of each gives back.
pub(crate) fn sizes() -> [(&'static str, usize); 7] {
    [
        ("Countdown::new(1)", size_of_val(&Countdown::new(1))),
        ("waits()", size_of_val(&waits())),
        ("waits_twice()", size_of_val(&waits_twice())),
        ("keeps()", size_of_val(&keeps())),
        ("forgets()", size_of_val(&forgets())),
        ("is_given([7; 100])", size_of_val(&is_given([7; 100]))),
        ("calls()", size_of_val(&calls())),
    ]
}

/// A sum of two numbers that are pending once each: the part that the chapter traces.
#[allow(dead_code)] // The trace is made from it, and not this program's output.
pub(crate) fn scene() {
    let say = |what| ledger::record("we", Event::Note(what));
    let mut sum = pin!(add_two(watch("a", number('a', 1, 20)), watch("b", number('b', 1, 22))));
    say("have made the sum of `a` and `b`");
    for what in ["poll the sum", "poll it again", "poll it a third time"] {
        say(what);
        if poll_once(sum.as_mut()).is_ready() {
            say("have `Ready(42)`");
        }
    }
}
