//! `block_on`: of a future that is ready, and of one that another thread wakes.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;

use under_await::{ch02_block_on, ch04_park};

use crate::table::{compare, timed};

pub(crate) fn measure() {
    compare(
        "block_on, a future that is ready (layer 4)",
        "ns",
        2_000_000,
        vec![
            timed("under_await", |n| ready(n, ch04_park::block_on)),
            timed("futures", |n| ready(n, futures::executor::block_on)),
            timed("futures-lite", |n| ready(n, futures_lite::future::block_on)),
            timed("pollster", |n| ready(n, pollster::block_on)),
            timed("by hand: one poll", |n| ready(n, ch02_block_on::block_on)),
        ],
    );
    let park = ch04_park::block_on::<Reaches>;
    compare(
        "block_on, woken by another thread, there and back (layer 4)",
        "ns",
        5_000,
        vec![
            timed("under_await", |n| round_trips(n, park, park)),
            timed("futures", |n| round_trips(n, theirs, theirs)),
            timed("futures-lite", |n| {
                round_trips(n, futures_lite::future::block_on, futures_lite::future::block_on);
            }),
            timed("pollster", |n| round_trips(n, pollster::block_on, pollster::block_on)),
            timed("by hand: park, unpark", bare_round_trips),
        ],
    );
    let tokio = crate::tasks::tokio();
    compare(
        "the same, and one of the two runs tasks, timers and sockets as well (layer 11)",
        "ns",
        5_000,
        vec![
            timed("under_await", |n| round_trips(n, under_await::block_on, theirs)),
            timed("tokio, current_thread", |n| round_trips(n, |f| tokio.block_on(f), theirs)),
            timed("smol: async-io", |n| round_trips(n, async_io::block_on, theirs)),
        ],
    );
}

/// The executor on the other side of a runtime.
fn theirs(future: Reaches) {
    futures::executor::block_on(future);
}

/// Runs `n` futures that are ready.
fn ready(n: u64, block_on: impl Fn(std::future::Ready<u64>) -> u64) {
    for i in 0..n {
        black_box(block_on(std::future::ready(black_box(i))));
    }
}

/// Two threads wake each other in turn, `n` times; each runs its half by a `block_on`.
fn round_trips(n: u64, here: impl Fn(Reaches), there: impl Fn(Reaches) + Send) {
    let (ping, pong) = (Arc::new(Slot::default()), Arc::new(Slot::default()));
    let (ping_there, pong_there) = (ping.clone(), pong.clone());
    thread::scope(|scope| {
        scope.spawn(move || {
            for count in 1..=n {
                there(Reaches { slot: ping_there.clone(), count });
                pong_there.advance();
            }
        });
        for count in 1..=n {
            ping.advance();
            here(Reaches { slot: pong.clone(), count });
        }
    });
}

/// A count that can be waited for.
#[derive(Debug, Default)]
struct Slot {
    count: AtomicU64,
    waker: futures::task::AtomicWaker,
}

impl Slot {
    fn advance(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.waker.wake();
    }
}

/// Ready when the count is there.
struct Reaches {
    slot: Arc<Slot>,
    count: u64,
}

impl Future for Reaches {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.slot.waker.register(cx.waker());
        match self.slot.count.load(Ordering::Acquire) >= self.count {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

/// The same with nothing but a flag, `park` and `unpark`.
fn bare_round_trips(n: u64) {
    let flags = [AtomicBool::new(false), AtomicBool::new(false)];
    let wait = |flag: &AtomicBool| {
        while !flag.swap(false, Ordering::Acquire) {
            thread::park();
        }
    };
    let main = thread::current();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            for _ in 0..n {
                wait(&flags[0]);
                flags[1].store(true, Ordering::Release);
                main.unpark();
            }
        });
        for _ in 0..n {
            flags[0].store(true, Ordering::Release);
            other.thread().unpark();
            wait(&flags[1]);
        }
    });
}
