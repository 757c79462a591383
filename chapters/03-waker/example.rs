//! Layer 3 at work: who owns what is behind a waker, and which wakers know each other.

use std::io::{self, ErrorKind, Write};
use std::mem::{self, ManuallyDrop};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWakerVTable, Waker};
use std::thread;

use under_await::ch01_future::poll_fn;
use under_await::ch03_waker::{Counter, counting};
use under_await::ledger::{self, Event, Ledger};

fn main() -> io::Result<()> {
    match show(&mut io::stdout().lock()) {
        // Whoever reads us has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// What the chapter's trace shows: a future keeps a clone of the waker that it is polled with, and
/// another thread uses the clone up.
#[allow(dead_code)] // The trace is recorded elsewhere.
pub(crate) fn scene() {
    let (done, kept) = (AtomicBool::new(false), Mutex::new(None));
    let mut future = pin!(poll_fn(|cx: &mut Context<'_>| {
        ledger::record("future", Event::Poll);
        if done.load(Ordering::Acquire) {
            ledger::record("future", Event::Ready);
            return Poll::Ready(());
        }
        *kept.lock().unwrap() = Some(cx.waker().clone());
        ledger::record("future", Event::Pending);
        Poll::Pending
    }));

    let (waker, _counter) = counting();
    let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
    let ledger = Ledger::current();
    let kept = kept.lock().unwrap().take().expect("a pending future keeps a waker");
    let helper = || {
        if let Some(ledger) = ledger {
            ledger.attach();
        }
        done.store(true, Ordering::Release);
        kept.wake();
    };
    thread::scope(|scope| drop(scope.spawn(helper)));
    let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
}

fn show(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Who owns a counter, and how often it was woken\n")?;
    writeln!(out, "  {:<38}{:>6}{:>7}", "after", "owners", "wakes")?;
    let (first, counter) = counting();
    row(out, "let (first, counter) = counting();", &counter)?;
    let second = first.clone();
    row(out, "let second = first.clone();", &counter)?;
    first.wake_by_ref();
    row(out, "first.wake_by_ref();", &counter)?;
    second.wake();
    row(out, "second.wake();", &counter)?;
    drop(first);
    row(out, "drop(first);", &counter)?;

    writeln!(out, "\nHow large they are, in words\n")?;
    writeln!(out, "  {:<38}{:>6}", "Waker", words::<Waker>())?;
    writeln!(out, "  {:<38}{:>6}", "Option<Waker>", words::<Option<Waker>>())?;
    writeln!(out, "  {:<38}{:>6}", "RawWakerVTable", words::<RawWakerVTable>())?;

    writeln!(out, "\nWhom `will_wake` takes for the same as a waker\n")?;
    let (waker, (stranger, _)) = (counting().0, counting());
    writeln!(out, "  {:<38}{:>6}", "its clone", waker.will_wake(&waker.clone()))?;
    let copy = with_a_table_of_its_own(waker.clone());
    writeln!(out, "  {:<38}{:>6}", "its clone, with a copy of the table", waker.will_wake(&copy))?;
    writeln!(out, "  {:<38}{:>6}", "the waker of another counter", waker.will_wake(&stranger))
}

/// A line of the first table.
fn row(out: &mut impl Write, after: &str, counter: &Arc<Counter>) -> io::Result<()> {
    writeln!(out, "  {after:<38}{:>6}{:>7}", Arc::strong_count(counter), counter.wakes())
}

/// The size of a `T`, with that of a pointer as the unit.
fn words<T>() -> usize {
    mem::size_of::<T>() / mem::size_of::<usize>()
}

/// The same pointer and the same four functions, from a table at another address.
fn with_a_table_of_its_own(waker: Waker) -> Waker {
    let waker = ManuallyDrop::new(waker);
    let table = Box::leak(Box::new(*waker.vtable()));
    // SAFETY: the functions of `table` are those that `waker`'s pointer was made for, and its share
    // goes over to the new waker: `ManuallyDrop` does not give it up.
    unsafe { Waker::new(waker.data(), table) }
}
