//! Layer 2 at work: how often its `block_on` asks, and what the asking costs.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{hint, thread};

use under_await::ch01_future::{Countdown, poll_once};
use under_await::ch02_block_on::{block_on, block_on_counting};
use under_await::ledger::watch;
use under_await::sys;

fn main() -> io::Result<()> {
    match show(&mut io::stdout().lock()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// What the chapter's trace shows.
#[allow(dead_code)] // The trace is recorded elsewhere.
pub(crate) fn scene() {
    block_on(watch("countdown", Countdown::new(3)));
}

fn show(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "How often `block_on` asks\n")?;
    let (word, polls) = block_on_counting(Countdown::new(3));
    writeln!(out, "  a countdown of 3       {polls:>10} polls, then `{word}`")?;
    let before = sys::cpu_time();
    let ((), polls) = block_on_counting(flag_set_after(100).0);
    let cpu = cpu_since(before);
    writeln!(out, "  a flag set in 100 ms   {:>10} polls, {cpu} of CPU time", about(polls))?;

    writeln!(
        out,
        "\nThe same 100 ms as ten waits of 10 ms, with something else between two polls\n"
    )?;
    writeln!(out, "  between two polls       polls     CPU time   latest answer")?;
    row(out, "spin_loop()", hint::spin_loop)?;
    row(out, "yield_now()", thread::yield_now)?;
    row(out, "sleep(1 ms)", || thread::sleep(Duration::from_millis(1)))
}

/// Ten waits of 10 ms: the polls and the CPU time of all of them, and how long after its flag was
/// set the slowest of them noticed.
fn row(out: &mut impl Write, name: &str, between: impl Fn()) -> io::Result<()> {
    let before = sys::cpu_time();
    let (mut polls, mut latest) = (0, Duration::ZERO);
    for _ in 0..10 {
        let (flag, set_at) = flag_set_after(10);
        polls += ask_until_ready(flag, &between);
        let noticed = Instant::now();
        latest = latest.max(noticed - set_at.join().expect("a thread that sleeps does not panic"));
    }
    let (cpu, latest) = (cpu_since(before), format!("{} µs", about(latest.as_micros() as u64)));
    writeln!(out, "  {name:<15} {:>13} {cpu:>12} {latest:>15}", about(polls))
}

// ANCHOR: flag_set_after
/// A future that another thread makes ready after `ms` milliseconds, without a word to anybody,
/// and that thread, which returns the moment at which it did so.
fn flag_set_after(ms: u64) -> (impl Future<Output = ()>, thread::JoinHandle<Instant>) {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    let setter = thread::spawn(move || {
        thread::sleep(Duration::from_millis(ms));
        let now = Instant::now();
        set.store(true, Ordering::Release);
        now
    });
    let is_set = move || flag.load(Ordering::Acquire);
    (poll_fn(move |_| if is_set() { Poll::Ready(()) } else { Poll::Pending }), setter)
}
// ANCHOR_END: flag_set_after

/// As the layer's `block_on_counting`, with a choice of what to do between two polls.
fn ask_until_ready(future: impl Future, between: impl Fn()) -> u64 {
    let mut future = pin!(future);
    let mut polls = 1;
    while poll_once(future.as_mut()).is_pending() {
        polls += 1;
        between();
    }
    polls
}

/// The CPU time used since `before`, in milliseconds, or that this system does not say.
fn cpu_since(before: Option<Duration>) -> String {
    let used = sys::cpu_time().zip(before).map(|(now, before)| now - before);
    used.map_or("unknown here".to_owned(), |used| format!("{} ms", about(used.as_millis() as u64)))
}

/// `~1,200,000` for 1,234,567: the two digits that another run may repeat.
fn about(n: u64) -> String {
    let digits = n.max(1).ilog10() + 1;
    let unit = 10_u64.pow(digits.saturating_sub(2));
    let rounded = ((n + unit / 2) / unit * unit).to_string();
    let mut text = String::new();
    for (i, digit) in rounded.chars().enumerate() {
        if i > 0 && (rounded.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("~{text}")
}
