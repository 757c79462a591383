//! Timers: that fire, and, more often in practice, that do not.

use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use cpu_time::ProcessTime;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::table::{compare, timed, told};

pub(crate) fn measure() {
    let tokio = &crate::tasks::tokio();
    compare(
        "a timer is set, and fires (layer 9)",
        "ns of CPU",
        100_000,
        vec![
            told("under_await", |n| {
                fired(n, under_await::time::sleep, |all| under_await::ch09_timer::block_on(all))
            }),
            told("tokio", |n| {
                fired(n, tokio::time::sleep, |all| {
                    tokio.block_on(tokio::task::unconstrained(all));
                })
            }),
            told("smol", |n| fired(n, async_io::Timer::after, |all| async_io::block_on(all))),
        ],
    );
    let _inside = tokio.enter();
    let ours = alive(under_await::time::sleep);
    let theirs = alive(tokio::time::sleep);
    let smol = alive(async_io::Timer::after);
    compare(
        "a timer is set, and dropped, beside a million (layer 9)",
        "ns",
        100_000,
        vec![
            timed("under_await", |n| cancelled(n, under_await::time::sleep)),
            timed("tokio", |n| cancelled(n, tokio::time::sleep)),
            timed("smol", |n| cancelled(n, async_io::Timer::after)),
        ],
    );
    drop((ours, theirs, smol));
}

/// The CPU time that it takes to set `n` timers, spread over 50 ms, and to wait for all of them.
fn fired<S: Future>(
    n: u64,
    sleep: impl Fn(Duration) -> S,
    block_on: impl FnOnce(Pin<Box<dyn Future<Output = ()> + '_>>),
) -> Duration {
    let start = ProcessTime::now();
    block_on(Box::pin(async {
        let spread = |i| sleep(Duration::from_nanos(i * 7919 % n * 50_000_000 / n));
        let mut all = (0..n).map(spread).collect::<FuturesUnordered<_>>();
        while all.next().await.is_some() {}
    }));
    start.elapsed()
}

/// How far away the timers are that do not fire, at least.
const AWAY: Duration = Duration::from_secs(3600);

/// A million timers that wait.
fn alive<S: Future>(sleep: impl Fn(Duration) -> S) -> Vec<Pin<Box<S>>> {
    (0..1_000_000_u64)
        .map(|i| polled(sleep(AWAY + Duration::from_micros(i * 7919 % 1_000_000))))
        .collect()
}

/// Sets `n` timers, each among those that wait, and drops it.
fn cancelled<S: Future>(n: u64, sleep: impl Fn(Duration) -> S) {
    for i in 0..n {
        black_box(polled(sleep(AWAY + Duration::from_micros(i * 7907 % 1_000_000))));
    }
}

/// `future`, polled once.
fn polled<S: Future>(future: S) -> Pin<Box<S>> {
    let mut future = Box::pin(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it is far away");
    future
}
