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
    let tokio = crate::tasks::tokio();
    compare(
        "block_on, woken by another thread, there and back (layers 4 and 11)",
        "ns",
        5_000,
        vec![
            timed("under_await, layer 4", |n| round_trips(n, ch04_park::block_on)),
            timed("under_await, layer 11", |n| round_trips(n, under_await::block_on)),
            timed("futures", |n| round_trips(n, futures::executor::block_on)),
            timed("futures-lite", |n| round_trips(n, futures_lite::future::block_on)),
            timed("pollster", |n| round_trips(n, pollster::block_on)),
            timed("tokio, on one side", |n| tokio_round_trips(n, &tokio)),
            timed("by hand: park, unpark", bare_round_trips),
        ],
    );
}

/// Runs `n` futures that are ready.
fn ready(n: u64, block_on: impl Fn(std::future::Ready<u64>) -> u64) {
    for i in 0..n {
        black_box(block_on(std::future::ready(black_box(i))));
    }
}

/// Two threads wake each other in turn, `n` times; each runs its half by `block_on`.
fn round_trips(n: u64, block_on: impl Fn(Reaches) + Sync) {
    let (ping, pong) = (Arc::new(Slot::default()), Arc::new(Slot::default()));
    thread::scope(|scope| {
        scope.spawn(|| {
            for count in 1..=n {
                block_on(Reaches { slot: ping.clone(), count });
                pong.advance();
            }
        });
        for count in 1..=n {
            ping.advance();
            block_on(Reaches { slot: pong.clone(), count });
        }
    });
}

/// The same with tokio here and futures there.
fn tokio_round_trips(n: u64, tokio: &tokio::runtime::Runtime) {
    let (ping, pong) = (Arc::new(Slot::default()), Arc::new(Slot::default()));
    thread::scope(|scope| {
        scope.spawn(|| {
            for count in 1..=n {
                futures::executor::block_on(Reaches { slot: ping.clone(), count });
                pong.advance();
            }
        });
        for count in 1..=n {
            ping.advance();
            tokio.block_on(Reaches { slot: pong.clone(), count });
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
