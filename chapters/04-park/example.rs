//! One future under two executors: chapter 2's asks without end, this chapter's sleeps.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use under_await::ledger::watch;
use under_await::sys::cpu_time;
use under_await::{ch02_block_on, ch04_park, poll_fn};

fn main() -> io::Result<()> {
    match compare(&mut io::stdout().lock()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// What the chapter's trace shows.
#[allow(dead_code)] // The test of the book calls it.
pub(crate) fn scene() {
    ch04_park::block_on(watch("flag", flag_after(50)));
}

fn compare(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "A flag that another thread sets after 100 ms, under two executors\n")?;
    writeln!(out, "{:28}polls       time   CPU time", "")?;
    row(out, "chapter 2, asking", || ch02_block_on::block_on(flag_after(100)))?;
    row(out, "chapter 4, sleeping", || ch04_park::block_on(flag_after(100)))
}

/// A row of the table: what it took `block_on` to wait.
fn row(out: &mut impl Write, name: &str, block_on: impl FnOnce() -> u64) -> io::Result<()> {
    let (start, busy) = (Instant::now(), cpu_time());
    let polls = block_on();
    let time = about(start.elapsed().as_millis() as u64);
    let busy = cpu_time().zip(busy).map(|(now, then)| about((now - then).as_millis() as u64));
    let busy = busy.map_or("unknown".to_owned(), |busy| busy + " ms");
    // The number of polls is exact where it is the same in every run.
    let polls = if polls < 10 { polls.to_string() } else { about(polls) };
    writeln!(out, "  {name:20} {polls:>10} {time:>7} ms {busy:>10}")
}

/// Ready when another thread has set a flag, `ms` milliseconds after the first poll; counts polls.
fn flag_after(ms: u64) -> impl Future<Output = u64> {
    let flag = Arc::new(AtomicBool::new(false));
    let mut polls = 0;
    poll_fn(move |cx| {
        polls += 1;
        if flag.load(Ordering::Acquire) {
            return Poll::Ready(polls);
        }
        if polls == 1 {
            let (flag, waker) = (flag.clone(), cx.waker().clone());
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(ms));
                flag.store(true, Ordering::Release);
                waker.wake();
            });
        }
        Poll::Pending
    })
}

/// `~1,200,000` for 1,234,567: what another run may repeat.
fn about(number: u64) -> String {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    let digits = ((number + unit / 2) / unit * unit).to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    format!("~{}", groups.collect::<Vec<_>>().join(","))
}
