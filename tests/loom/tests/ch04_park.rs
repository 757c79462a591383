//! Layer 4 under loom: `src/ch04_park.rs` itself, compiled with loom's threads and atomics in place
//! of std's. Loom plays every order of their steps too, and besides, every value that a load may
//! see where memory is ordered weakly.
//!
//! In this crate, `std` is this crate: all of the real one, with loom's flag, loom's parking and
//! loom's thread-locals in place of its own. (What a `use` names hides what a glob brings along.)

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with loom's flag.
pub mod sync {
    pub use real_std::sync::*;

    /// `std::sync::atomic`, with loom's flag.
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
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread::Thread;

use ch04_park::{Parker, block_on};
use under_await::ledger;

#[path = "../../../src/ch04_park.rs"]
#[allow(dead_code, unreachable_pub)]
mod ch04_park;

// ── The layer ──

/// Invariant 1. The wake comes before the sleep, during it, or while falling asleep.
#[test]
fn one_wake_is_not_lost_and_brings_what_came_before_it() {
    loom::model(|| one_wake(the_layer()));
}

/// Invariant 1. A waker that finds the flag set leaves the sleep to the other one, and what it
/// did before its wake is seen all the same.
#[test]
fn two_wakes_are_not_lost_and_bring_what_came_before_them() {
    loom::model(|| two_wakes(the_layer()));
}

/// Invariant 1, for `block_on` and one waker that wakes twice.
#[test]
fn block_on_misses_neither_of_two_wakes() {
    loom::model(|| {
        let done = Arc::new(AtomicU32::new(0));
        let mut spawned = false;
        block_on(poll_fn(|cx| {
            if !spawned {
                spawned = true;
                let (done, waker) = (done.clone(), cx.waker().clone());
                loom::thread::spawn(move || {
                    done.store(1, Ordering::Relaxed);
                    waker.wake_by_ref();
                    done.store(2, Ordering::Relaxed);
                    waker.wake();
                });
            }
            if done.load(Ordering::Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
    });
}

/// Invariant 3. The outer future is woken while the inner `block_on` sleeps, or not.
#[test]
fn nested_calls_keep_their_wakes_apart() {
    loom::model(|| {
        block_on(async {
            let mut outer = pin!(woken_by_a_thread());
            let mut first = true;
            poll_fn(|cx| {
                let answer = outer.as_mut().poll(cx);
                if first {
                    first = false;
                    block_on(woken_by_a_thread());
                }
                answer
            })
            .await;
        });
    });
}

/// A future that is woken by a thread of its own.
fn woken_by_a_thread() -> impl Future<Output = ()> {
    let done = Arc::new(AtomicBool::new(false));
    let mut spawned = false;
    poll_fn(move |cx| {
        if done.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        if !spawned {
            spawned = true;
            let (done, waker) = (done.clone(), cx.waker().clone());
            loom::thread::spawn(move || {
                done.store(true, Ordering::Relaxed);
                waker.wake();
            });
        }
        Poll::Pending
    })
}

// ── What the layer avoids: loom sees these fail ──
//
// It takes two wakers to show it. A waker that comes alone ends the sleep by `unpark`, which brings
// along what came before it.

/// With `Relaxed` in place of `Acquire` and `Release`, a wake arrives without what came before it.
#[test]
#[should_panic(expected = "deadlock")]
fn a_relaxed_wake_brings_nothing_along() {
    loom::model(|| two_wakes(a_twin(Fault::Relaxed)));
}

/// A waker that finds the flag set, and leaves it at that, tells nobody what it has done.
#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_that_only_looks_brings_nothing_along() {
    loom::model(|| two_wakes(a_twin(Fault::LooksBeforeItSets)));
}

/// A sleeper that looks first and clears afterwards wipes out the wake in between, unseen.
#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_between_the_look_and_the_clearing_is_lost() {
    loom::model(|| two_wakes(a_twin(Fault::LooksBeforeItClears)));
}

/// So it is not for another reason that they fail.
#[test]
fn with_one_waker_the_faults_do_not_show() {
    for fault in [Fault::Relaxed, Fault::LooksBeforeItSets, Fault::LooksBeforeItClears] {
        loom::model(move || one_wake(a_twin(fault)));
    }
}

// ── The scenes ──

/// A parker for this thread: its waker and its `park`.
type Sleeper = (Waker, Box<dyn Fn()>);

/// One thread writes a letter and wakes; this one sleeps and reads.
fn one_wake((waker, park): Sleeper) {
    let letter = Arc::new(UnsafeCell::new(0));
    let sent = letter.clone();
    loom::thread::spawn(move || {
        // SAFETY: the other access waits for the wake, or loom says that it does not.
        sent.with_mut(|letter| unsafe { *letter = 42 });
        waker.wake();
    });
    park();
    // SAFETY: as above.
    assert_eq!(letter.with(|letter| unsafe { *letter }), 42);
}

/// Two threads do something and wake; this one sleeps until it has seen both.
fn two_wakes((waker, park): Sleeper) {
    let done = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    for i in 0..2 {
        let (done, waker) = (done.clone(), waker.clone());
        loom::thread::spawn(move || {
            done[i].store(true, Ordering::Relaxed);
            waker.wake();
        });
    }
    while !done.iter().all(|done| done.load(Ordering::Relaxed)) {
        park();
    }
}

fn the_layer() -> Sleeper {
    let parker = Parker::new();
    (parker.waker().clone(), Box::new(move || parker.park()))
}

/// What can be wrong with a flag though it is right in every order of its steps.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Relaxed,
    LooksBeforeItSets,
    LooksBeforeItClears,
}

/// The layer's `Signal`, with a fault.
struct Twin {
    woken: AtomicBool,
    thread: Thread,
    fault: Fault,
}

fn a_twin(fault: Fault) -> Sleeper {
    let woken = AtomicBool::new(false);
    let twin = Arc::new(Twin { woken, thread: loom::thread::current(), fault });
    (twin.clone().into(), Box::new(move || twin.park()))
}

impl Twin {
    fn park(&self) {
        while !self.cleared() {
            loom::thread::park();
        }
    }

    /// Clears the flag, and says whether it was set.
    fn cleared(&self) -> bool {
        match self.fault {
            Fault::Relaxed => self.woken.swap(false, Ordering::Relaxed),
            Fault::LooksBeforeItSets => self.woken.swap(false, Ordering::Acquire),
            Fault::LooksBeforeItClears => {
                self.woken.load(Ordering::Acquire) && self.woken.swap(false, Ordering::Relaxed)
            }
        }
    }

    /// Sets the flag, and says whether it was set before.
    fn set(&self) -> bool {
        match self.fault {
            Fault::Relaxed => self.woken.swap(true, Ordering::Relaxed),
            Fault::LooksBeforeItSets => {
                self.woken.load(Ordering::Acquire) || self.woken.swap(true, Ordering::Release)
            }
            Fault::LooksBeforeItClears => self.woken.swap(true, Ordering::Release),
        }
    }
}

impl Wake for Twin {
    fn wake(self: Arc<Self>) {
        if !self.set() {
            self.thread.unpark();
        }
    }
}
