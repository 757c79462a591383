//! Joined futures: a few by macro, many by `join_all`.

use std::cell::Cell;
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use under_await::ch04_park::block_on;

use crate::table::{compare, timed, told};

pub(crate) fn measure() {
    for n in [10, 31, 1000, 100_000] {
        let rounds = 100_000 / n;
        let times = |run: fn(usize) -> Duration| move |_| (0..rounds).map(|_| run(n)).sum();
        compare(
            &format!("join_all of {n} futures, woken one by one (layer 12)"),
            "ns for each",
            (rounds * n) as u64,
            vec![
                told("under_await", times(|n| one_by_one(n, under_await::join_all))),
                told("futures", times(|n| one_by_one(n, futures::future::join_all))),
                told("futures, FuturesUnordered", times(|n| one_by_one(n, unordered))),
            ],
        );
    }
    compare(
        "join! of three futures that are pending once (layer 12)",
        "ns",
        1_000_000,
        vec![
            timed("under_await", |n| {
                block_on(async {
                    for _ in 0..n {
                        black_box(under_await::join!(once(), once(), once()));
                    }
                });
            }),
            timed("futures", |n| {
                block_on(async {
                    for _ in 0..n {
                        black_box(futures::join!(once(), once(), once()));
                    }
                });
            }),
            timed("tokio", |n| {
                block_on(async {
                    for _ in 0..n {
                        black_box(tokio::join!(once(), once(), once()));
                    }
                });
            }),
            timed("futures-lite, zip", |n| {
                block_on(async {
                    for _ in 0..n {
                        let two = futures_lite::future::zip(once(), once());
                        black_box(futures_lite::future::zip(two, once()).await);
                    }
                });
            }),
        ],
    );
}

/// Joins by what futures has for any number of futures, in any order.
fn unordered(all: Vec<Slot>) -> impl Future {
    all.into_iter().collect::<FuturesUnordered<_>>().count()
}

/// Pending once.
async fn once() -> u64 {
    under_await::ch01_future::yield_now().await;
    1
}

/// The time that it takes to join `n` futures of which one after the other is completed, the last
/// one first, with a poll of the whole after each. That the futures are made is not counted.
fn one_by_one<F: Future>(n: usize, join_all: impl Fn(Vec<Slot>) -> F) -> Duration {
    let shared = Rc::new((0..n).map(|_| Cell::default()).collect::<Vec<_>>());
    let slots = (0..n).map(|at| Slot { at, shared: shared.clone() }).collect();
    let start = Instant::now();
    let mut joined = Box::pin(join_all(slots));
    let mut cx = Context::from_waker(Waker::noop());
    for slot in shared.iter().rev() {
        assert!(joined.as_mut().poll(&mut cx).is_pending(), "some are left");
        let State::Waits(waker) = slot.replace(State::Complete) else { panic!("it was polled") };
        waker.wake();
    }
    assert!(joined.as_mut().poll(&mut cx).is_ready(), "all are complete");
    drop(joined);
    start.elapsed()
}

/// A future that is completed by hand.
struct Slot {
    at: usize,
    shared: Rc<Vec<Cell<State>>>,
}

/// How it is with a future.
#[derive(Default)]
enum State {
    #[default]
    New,
    Waits(Waker),
    Complete,
}

impl Future for Slot {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        let state = &self.shared[self.at];
        match state.take() {
            State::Complete => return Poll::Ready(1),
            State::Waits(waker) if waker.will_wake(cx.waker()) => state.set(State::Waits(waker)),
            _ => state.set(State::Waits(cx.waker().clone())),
        }
        Poll::Pending
    }
}
