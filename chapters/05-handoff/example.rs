//! Layer 5 at work: threads hand values to a future that waits for them.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use under_await::ch01_future::poll_once;
use under_await::ch03_waker::counting;
use under_await::ch04_park::block_on;
use under_await::ch05_handoff::{Receiver, RecvError, oneshot};
use under_await::ledger::{self, Event, Ledger, watch};

fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    match three_deliver(out).and_then(|()| one_moves(out)) {
        // Whoever reads us has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// What the chapter's trace shows: a receiver is polled here, and moves to another thread.
#[allow(dead_code)] // The trace is recorded elsewhere.
pub(crate) fn scene() {
    let (sender, receiver) = oneshot();
    let mut receiver = watch("receiver", receiver);
    let _ = poll_once(Pin::new(&mut receiver));

    let ledger = Ledger::current();
    let there = thread::spawn(move || {
        if let Some(ledger) = ledger {
            ledger.attach();
        }
        block_on(receiver)
    });
    thread::sleep(Duration::from_millis(20));
    ledger::record("sender", Event::Note("sends the value"));
    let _ = sender.send("hello");
    let _ = there.join();
}

/// What a thread delivers: a letter, or nothing if it goes away without sending.
type Delivery = (&'static str, Receiver<&'static str>);

/// Starts a thread that works for `ms` milliseconds and then delivers.
fn deliver(name: &'static str, ms: u64, letter: Option<&'static str>) -> Delivery {
    let (sender, receiver) = oneshot();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(ms));
        if let Some(letter) = letter {
            // An error means that nobody waits for it any more.
            let _ = sender.send(letter);
        }
    });
    (name, receiver)
}

fn three_deliver(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Three threads deliver to one `block_on`, in order of arrival\n")?;
    writeln!(out, "{:>9}{:>8}   {:8}what", "after", "polls", "from")?;
    let start = Instant::now();
    let mut waiting = vec![
        deliver("slow", 90, Some("a long letter")),
        deliver("lost", 60, None),
        deliver("quick", 30, Some("a postcard")),
    ];
    let polls = Cell::new(0);
    let mut take_all = pin!(async {
        while !waiting.is_empty() {
            let (name, letter) = first_of(&mut waiting).await;
            let ms = (start.elapsed().as_millis() as f64 / 10.0).round() * 10.0;
            let what = letter.unwrap_or("nothing: the sender went away");
            let polls = polls.get();
            writeln!(out, "{:>9}{polls:>8}   {name:8}{what}", format!("~{ms} ms"))?;
        }
        Ok(())
    });
    block_on(poll_fn(|cx| {
        polls.set(polls.get() + 1);
        take_all.as_mut().poll(cx)
    }))
}

/// The first of those that are waiting to get an answer. The others wait on.
async fn first_of(waiting: &mut Vec<Delivery>) -> (&'static str, Result<&'static str, RecvError>) {
    poll_fn(|cx| {
        for n in 0..waiting.len() {
            if let Poll::Ready(answer) = Pin::new(&mut waiting[n].1).poll(cx) {
                return Poll::Ready((waiting.remove(n).0, answer));
            }
        }
        Poll::Pending
    })
    .await
}

fn one_moves(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nOne receiver, polled here and then moved to another thread\n")?;
    let (sender, mut receiver) = oneshot();
    let (waker, counter) = counting();
    let answer = Pin::new(&mut receiver).poll(&mut Context::from_waker(&waker));
    let here = if answer.is_pending() { "Pending" } else { "Ready" };
    writeln!(out, "  {:<32}{here}", "polled here")?;

    let there = thread::spawn(move || block_on(receiver));
    // Until the receiver has been polled there, and has given up its clone of our waker.
    while Arc::strong_count(&counter) > 2 {
        thread::yield_now();
    }
    let _ = sender.send("hello");
    let output = there.join().expect("a receiver does not panic");
    writeln!(out, "  {:<32}{output:?}", "finished there")?;
    writeln!(out, "  {:<32}{}", "wakes of the waker from here", counter.wakes())
}
