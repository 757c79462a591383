//! Layer 2 at work: how often its `block_on` asks, and what the asking costs. With `-- between`:
//! whether anything between two polls makes it better.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{env, hint, thread};

use under_await::ch01_future::{Countdown, poll_once};
use under_await::ch02_block_on::{block_on, block_on_counting};
use under_await::ledger::watch;
use under_await::sys;

fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let shown = match env::args().nth(1).as_deref() {
        Some("between") => between_two_polls(out),
        _ => how_often(out),
    };
    match shown {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// What the chapter's trace shows.
#[allow(dead_code)] // The test of the book calls it.
pub(crate) fn scene() {
    block_on(watch("countdown", Countdown::new(3)));
}

fn how_often(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "How often `block_on` asks, until the answer is `Ready`\n")?;
    writeln!(out, "{:36}polls     CPU time", "")?;

    let before = sys::cpu_time();
    let (_, polls) = block_on_counting(Countdown::new(3));
    writeln!(out, "  {:24} {polls:>14} {:>12}", "a countdown of 3", cpu_since(before))?;

    let (flag, _) = flag_set_after(100);
    let before = sys::cpu_time();
    let (_, polls) = block_on_counting(flag);
    let (polls, cpu) = (about(polls), cpu_since(before));
    writeln!(out, "  {:24} {polls:>14} {cpu:>12}", "a flag set after 100 ms")
}

fn between_two_polls(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Ten waits of 10 ms: what to do between two polls\n")?;
    writeln!(out, "{:24}polls     CPU time    typical delay", "")?;
    ten_waits(out, "spin_loop()", hint::spin_loop)?;
    ten_waits(out, "yield_now()", thread::yield_now)?;
    ten_waits(out, "sleep(1 ms)", || thread::sleep(Duration::from_millis(1)))
}

/// A row of the table: the polls and the CPU time of ten waits of 10 ms, and the time that passes
/// until a flag that was set is noticed, the median of the ten.
fn ten_waits(out: &mut impl Write, name: &str, between: impl Fn()) -> io::Result<()> {
    let (before, mut polls, mut delays) = (sys::cpu_time(), 0, Vec::new());
    for _ in 0..10 {
        let (flag, setter) = flag_set_after(10);
        polls += ask_until_ready(flag, &between);
        let noticed = Instant::now();
        delays.push(noticed - setter.join().expect("the thread only sleeps and sets"));
    }
    delays.sort();
    let (polls, cpu) = (about(polls), cpu_since(before));
    let delay = about(delays[5].as_micros() as u64);
    writeln!(out, "  {name:12} {polls:>14} {cpu:>12} {delay:>13} µs")
}

// ANCHOR: flag_set_after
/// A future that another thread makes ready after `ms` milliseconds, without a word to anybody;
/// and that thread, which returns the moment.
fn flag_set_after(ms: u64) -> (impl Future<Output = ()>, thread::JoinHandle<Instant>) {
    let flag = Arc::new(AtomicBool::new(false));
    let setter = thread::spawn({
        let flag = flag.clone();
        move || {
            thread::sleep(Duration::from_millis(ms));
            let now = Instant::now();
            flag.store(true, Ordering::Release);
            now
        }
    });
    let is_set = move || flag.load(Ordering::Acquire);
    (poll_fn(move |_| if is_set() { Poll::Ready(()) } else { Poll::Pending }), setter)
}
// ANCHOR_END: flag_set_after

/// The layer's `block_on_counting`, with a choice of what to do between two polls.
fn ask_until_ready(future: impl Future, between: impl Fn()) -> u64 {
    let mut future = pin!(future);
    let mut polls = 1;
    while poll_once(future.as_mut()).is_pending() {
        polls += 1;
        between();
    }
    polls
}

/// The CPU time used since `before`; not every system knows.
fn cpu_since(before: Option<Duration>) -> String {
    let used = sys::cpu_time().zip(before).map(|(now, before)| now - before);
    used.map_or("unknown here".to_owned(), |used| format!("{} ms", about(used.as_millis() as u64)))
}

/// `~1,200,000` for 1,234,567: two digits are all that another run may repeat.
fn about(n: u64) -> String {
    let unit = 10_u64.pow(n.max(1).ilog10().saturating_sub(1));
    let digits = ((n + unit / 2) / unit * unit).to_string();
    let mut text = "~".to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
