//! The layers beside their peers: `cargo run --release -p bench`.
//!
//! Machines are noisy, and their noise comes in waves. So every round measures every peer, one
//! after the other, and what is printed is the median of the rounds and its ratio to ours.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

use under_await::{ch02_block_on, ch04_park, ch05_handoff};

const ROUNDS: usize = 21;

fn main() {
    compare(
        "block_on, a future that is ready (layer 4)",
        5_000_000,
        &mut [
            ("under_await", &mut |n| ready(n, ch04_park::block_on)),
            ("futures 0.3", &mut |n| ready(n, futures::executor::block_on)),
            ("futures-lite 2", &mut |n| ready(n, futures_lite::future::block_on)),
            ("pollster 0.4", &mut |n| ready(n, pollster::block_on)),
            ("by hand: one poll", &mut |n| ready(n, ch02_block_on::block_on)),
        ],
    );
    compare(
        "block_on, woken by another thread, round trip (layer 4)",
        20_000,
        &mut [
            ("under_await", &mut |n| round_trips(n, ch04_park::block_on)),
            ("futures 0.3", &mut |n| round_trips(n, futures::executor::block_on)),
            ("futures-lite 2", &mut |n| round_trips(n, futures_lite::future::block_on)),
            ("pollster 0.4", &mut |n| round_trips(n, pollster::block_on)),
            ("by hand: park, unpark", &mut bare_round_trips),
        ],
    );
    compare(
        "oneshot, polled, sent and polled again on one thread (layer 5)",
        2_000_000,
        &mut [
            ("under_await", &mut |n| {
                hand_offs(n, ch05_handoff::oneshot, |sender, value| _ = sender.send(value))
            }),
            ("futures 0.3", &mut |n| {
                hand_offs(n, futures::channel::oneshot::channel, |sender, value| {
                    _ = sender.send(value)
                })
            }),
            ("tokio 1", &mut |n| {
                hand_offs(n, tokio::sync::oneshot::channel, |sender, value| _ = sender.send(value))
            }),
        ],
    );
}

/// A peer: its name, and what runs a workload of the given size.
type Peer<'a> = (&'a str, &'a mut dyn FnMut(u64));

/// Prints nanoseconds per operation, the first peer's as the measure of the others.
fn compare(title: &str, size: u64, peers: &mut [Peer<'_>]) {
    let mut times = vec![Vec::new(); peers.len()];
    for _ in 0..ROUNDS {
        for ((_, run), times) in peers.iter_mut().zip(&mut times) {
            let start = Instant::now();
            run(size);
            times.push(start.elapsed().as_nanos() as f64 / size as f64);
        }
    }
    println!("\n{title}, median of {ROUNDS}");
    let medians = times.iter_mut().map(|times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    let medians = medians.collect::<Vec<_>>();
    for ((name, _), median) in peers.iter().zip(&medians) {
        println!("  {name:24} {median:10.2} ns   {:6.2}×", median / medians[0]);
    }
}

/// Runs `n` futures that are ready.
fn ready(n: u64, block_on: impl Fn(std::future::Ready<u64>) -> u64) {
    for i in 0..n {
        black_box(block_on(std::future::ready(black_box(i))));
    }
}

/// Makes `n` channels; in each, the receiver is polled before its value is sent, and after that.
fn hand_offs<S, R>(n: u64, channel: impl Fn() -> (S, R), send: impl Fn(S, u64))
where
    R: Future + Unpin,
{
    let waker = Waker::from(Arc::new(Nobody));
    let mut cx = Context::from_waker(&waker);
    for i in 0..n {
        let (sender, mut receiver) = channel();
        assert!(Pin::new(&mut receiver).poll(&mut cx).is_pending());
        send(sender, black_box(i));
        assert!(Pin::new(&mut receiver).poll(&mut cx).is_ready());
    }
}

/// A waker's data, with owners to count.
struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
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
