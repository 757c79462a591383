//! Layer 14 at work: a producer that has to wait for its consumer, and a permit that finds its way.

use std::cell::Cell;
use std::env;
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::task::{Context, Waker};

use futures::future::join;

use under_await::ch01_future::{poll_fn, yield_now};
use under_await::ch03_waker::counting;
use under_await::ch04_park::block_on;
use under_await::ch14_sync::{Semaphore, TrySendError, channel};
use under_await::ledger::{self, Event, watch};

fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let shown = match env::args().nth(1).as_deref() {
        Some("rooms") => rooms(out),
        _ => back_pressure(out).and_then(|()| three_wait(out)),
    };
    match shown {
        // Whoever reads us has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// What the chapter's trace shows: two wait for one permit; the first is called, and dropped.
#[allow(dead_code)] // The trace is recorded elsewhere.
pub(crate) fn scene() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire();
    let mut cx = Context::from_waker(Waker::noop());
    let mut a = Box::pin(watch("a", semaphore.acquire()));
    let mut b = Box::pin(watch("b", semaphore.acquire()));
    let _ = a.as_mut().poll(&mut cx);
    let _ = b.as_mut().poll(&mut cx);
    ledger::record("main", Event::Note("gives the permit back"));
    drop(permit);
    ledger::record("main", Event::Note("drops a"));
    drop(a);
    let _ = b.as_mut().poll(&mut cx);
}

fn back_pressure(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "A quick producer, a slow consumer, and a channel with room for 3\n")?;
    writeln!(out, "  {:<25}{:<9}consumer", "producer", "channel")?;
    let (sender, mut receiver) = channel(3);
    let inside = Cell::new(0usize);
    let lines = Cell::new(Vec::new());
    let line = |producer: String, consumer: String| {
        let boxes = "■".repeat(inside.get());
        let mut all = lines.take();
        all.push(format!("  {producer:<25}{boxes:<9}{consumer}"));
        lines.set(all);
    };
    let producer = async {
        // The sender goes at the end of this block, and with it the channel.
        let sender = sender;
        for n in 1..=6 {
            if let Err(TrySendError::Full(n)) = sender.try_send(n) {
                line(format!("wants to send {n}, waits"), String::new());
                sender.send(n).await.expect("the consumer is there");
            }
            inside.set(inside.get() + 1);
            line(format!("sends {n}"), String::new());
        }
    };
    let consumer = async {
        while let Some(n) = receiver.recv().await {
            inside.set(inside.get() - 1);
            line(String::new(), format!("takes {n}"));
            // At work, for a while.
            yield_now().await;
        }
        line(String::new(), "has seen the end".to_owned());
    };
    block_on(join(producer, consumer));
    lines.take().iter().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

fn three_wait(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nThree wait for one permit: A, B and C, in this order\n")?;
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire();
    let [a, b, c] = [counting(), counting(), counting()];
    let before = Cell::new([0; 3]);
    let woken = |what: &str| {
        let wakes = [&a.1, &b.1, &c.1].map(|counter| counter.wakes());
        let before = before.replace(wakes);
        let who = (0..3).find(|n| wakes[*n] > before[*n]).map_or("nobody", |n| ["A", "B", "C"][n]);
        format!("  {what:<40}woken: {who}")
    };
    let mut waiting = [(); 3].map(|()| Some(Box::pin(semaphore.acquire())));
    for (acquire, waker) in waiting.iter_mut().flatten().zip([&a.0, &b.0, &c.0]) {
        let answer = acquire.as_mut().poll(&mut Context::from_waker(waker));
        assert!(answer.is_pending(), "there is one permit, and it is held");
    }
    drop(held);
    writeln!(out, "{}", woken("the permit comes back"))?;
    waiting[0] = None;
    writeln!(out, "{}", woken("A is dropped before it is polled"))?;
    let taken = waiting[1].take().map(block_on);
    writeln!(out, "{}", woken("B goes on, and has the permit"))?;
    waiting[2] = None;
    writeln!(out, "{}", woken("C, which still waits, is dropped"))?;
    drop(taken);
    writeln!(out, "{}", woken("B gives the permit back"))?;
    writeln!(out, "\n  permits to be had: {}", semaphore.available_permits())
}

/// How often each side of a channel waits, with room for few and for many.
fn rooms(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "1,000 messages on one thread: how often each side was pending\n")?;
    writeln!(out, "  {:>6}{:>12}{:>12}", "room", "producer", "consumer")?;
    for room in [1, 10, 100] {
        let (sender, mut receiver) = channel(room);
        let (sends, receives) = (Cell::new(0), Cell::new(0));
        let producer = async {
            let sender = sender;
            for n in 0..1_000 {
                counted(sender.send(n), &sends).await.expect("the consumer is there");
            }
        };
        let consumer = async { while counted(receiver.recv(), &receives).await.is_some() {} };
        block_on(join(producer, consumer));
        writeln!(out, "  {room:>6}{:>12}{:>12}", sends.get(), receives.get())?;
    }
    Ok(())
}

/// Runs `future`, and counts how often it is pending.
async fn counted<F: Future>(future: F, pending: &Cell<u32>) -> F::Output {
    let mut future = pin!(future);
    let count = |cx: &mut Context<'_>| {
        let answer = future.as_mut().poll(cx);
        pending.set(pending.get() + u32::from(answer.is_pending()));
        answer
    };
    poll_fn(count).await
}
