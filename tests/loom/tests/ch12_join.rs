//! Layer 12 under loom: `src/ch12_join.rs` itself, compiled with loom's lock in place of std's. What
//! threads share of it is the list of the woken. Layer 4 is here too, to sleep with.
//!
//! In this crate, `std` is this crate: all of the real one, with loom's locks, flags, parking and
//! thread-locals in place of its own. (What a `use` names hides what a glob brings along.)

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with loom's lock and flags.
pub mod sync {
    pub use real_std::sync::*;

    pub use loom::sync::Mutex;

    /// `std::sync::atomic`, with loom's flags.
    pub mod atomic {
        pub use real_std::sync::atomic::*;

        pub use loom::sync::atomic::AtomicBool;
    }
}

/// `std::thread`, with loom's parking.
pub mod thread {
    pub use real_std::thread::*;

    pub use loom::thread::{Thread, current, park};
}

/// Loom's thread-locals begin anew in every play.
macro_rules! thread_local {
    ($($local:tt)*) => { loom::thread_local! { $($local)* } };
}

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicU32, Ordering};

use ch04_park::block_on;
use ch12_join::join_all;
use under_await::{ch01_future, ch03_waker, ledger};

#[path = "../../../src/ch04_park.rs"]
#[allow(dead_code, unfulfilled_lint_expectations, unreachable_pub)]
mod ch04_park;

#[path = "../../../src/ch12_join.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod ch12_join;

/// Invariant 4. Two children, each woken by a thread of its own, while the parent polls, looks at the
/// list, falls asleep or sleeps.
#[test]
fn two_children_that_two_threads_wake() {
    check(|| {
        assert_eq!(
            block_on(join_all([Child::woken_by_a_thread(1), Child::woken_by_a_thread(1)])),
            [1, 1]
        )
    });
}

/// Invariant 4. A child that is woken twice stands on the list once, and misses neither.
#[test]
fn a_child_that_is_woken_twice() {
    check(|| assert_eq!(block_on(join_all([Child::woken_by_a_thread(2)])), [2]));
}

/// Invariants 4 and 5. The join goes while a thread wakes its child: that thread may be the last that
/// has the list.
#[test]
fn a_join_that_is_dropped_while_its_child_is_woken() {
    check(|| {
        let mut all = join_all([Child::woken_by_a_thread(1)]);
        let _ = Pin::new(&mut all).poll(&mut Context::from_waker(Waker::noop()));
        drop(all);
    });
}

/// What the layer avoids: the look first, and the parent's waker after that. A child that is woken in
/// between tells nobody.
#[test]
#[should_panic(expected = "deadlock")]
fn a_look_before_the_waker_is_left_loses_a_wake() {
    check(|| {
        let list = Arc::new((Mutex::new(false), Mutex::new(None::<Waker>)));
        let other = list.clone();
        loom::thread::spawn(move || {
            *other.0.lock().unwrap() = true;
            let parent = other.1.lock().unwrap().take();
            parent.into_iter().for_each(Waker::wake);
        });
        block_on(poll_fn(|cx| {
            if *list.0.lock().unwrap() {
                return Poll::Ready(());
            }
            *list.1.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        }));
    });
}

/// Plays `scene` in every order in which threads are interrupted three times at most.
fn check(scene: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(scene);
}

/// Ready when a thread has counted as far as it was told to; each step is a wake.
struct Child {
    goal: u32,
    count: Option<Arc<AtomicU32>>,
}

impl Child {
    fn woken_by_a_thread(goal: u32) -> Self {
        Child { goal, count: None }
    }
}

impl Future for Child {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let goal = self.goal;
        let count = self.count.get_or_insert_with(|| {
            let count = Arc::new(AtomicU32::new(0));
            let (counts, waker) = (count.clone(), cx.waker().clone());
            loom::thread::spawn(move || {
                for n in 1..=goal {
                    counts.store(n, Ordering::Relaxed);
                    waker.wake_by_ref();
                }
            });
            count
        });
        let count = count.load(Ordering::Relaxed);
        if count == goal { Poll::Ready(count) } else { Poll::Pending }
    }
}
