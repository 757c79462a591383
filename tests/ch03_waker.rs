//! Layer 3 keeps its promises. Balance, identity and the four threads are in the suite; here is the
//! rest, and the suite itself once more, for Miri: `cargo +nightly miri test --test ch03_waker`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use support::{Drops, Event, Ledger};
use under_await::ch01_future::poll_once;
use under_await::ch03_waker::{counting, waker_fn, waker_ref};
use under_await::ledger::watch;

mod support;

/// The exercises' right answers, under their own checks.
#[allow(dead_code, unreachable_pub, unfulfilled_lint_expectations)]
mod suite {
    pub mod subject {
        pub use under_await::ch03_waker::*;
        pub mod extend {
            include!("../chapters/03-waker/extend.rs");
        }
    }
    include!("suites/03_waker.rs");
}

use suite::subject::extend::flag_waker;

#[test]
fn the_suite_passes() {
    support::pass_all(suite::CHECKS);
}

/// Invariant 1. Wakers that travel: each thread takes one out of the box or clones its own, does
/// the next of the four operations to it, and puts back what is left.
#[test]
fn owners_balance_when_wakers_change_threads() {
    let rounds = if cfg!(miri) { 40 } else { 4_000 };
    let (waker, counter) = counting();
    let the_box = Mutex::new(Vec::new());
    let travel = |stride: usize| {
        let own = waker.clone();
        let put = |waker| the_box.lock().unwrap().push(waker);
        let mut wakes = 0;
        for round in 0..rounds {
            let taken = the_box.lock().unwrap().pop().unwrap_or_else(|| own.clone());
            match round * stride % 4 {
                0 => [taken.clone(), taken].into_iter().for_each(put),
                1 => drop(taken),
                2 => {
                    taken.wake_by_ref();
                    wakes += 1;
                    put(taken);
                }
                _ => {
                    taken.wake();
                    wakes += 1;
                }
            }
        }
        wakes
    };
    let wakes = thread::scope(|scope| {
        let threads = [1, 3, 5].map(|stride| scope.spawn(move || travel(stride)));
        threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>()
    });
    assert_eq!(counter.wakes(), wakes);
    let left = the_box.lock().unwrap().len();
    assert_eq!(Arc::strong_count(&counter), 2 + left, "{left} in the box, `waker` and `counter`");
}

/// Invariant 3. A thread that ends drops what it keeps in thread-locals in no particular order: the
/// ledger that is open on it may be gone by then.
#[test]
fn a_waker_may_be_woken_and_dropped_while_its_thread_ends() {
    struct Last(Waker);
    impl Drop for Last {
        fn drop(&mut self) {
            let clone = self.0.clone();
            clone.wake();
            assert!(poll_once(pin!(watch("late", async {}))).is_ready());
        }
    }
    thread_local! {
        static KEPT: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    let (waker, counter) = counting();
    for ledger_first in [false, true] {
        let kept = Last(waker.clone());
        let thread = thread::spawn(move || {
            if ledger_first {
                Ledger::open();
            }
            KEPT.set(Some(kept));
            Ledger::open();
        });
        thread.join().unwrap();
    }
    assert_eq!(counter.wakes(), 2);
    assert_eq!(Arc::strong_count(&counter), 2, "`waker` and `counter` are left");
}

/// What `poll` gets is the very waker: the two words travel through a `Context` unchanged.
#[test]
fn a_context_hands_the_waker_through() {
    let (waker, counter) = counting();
    let cx = Context::from_waker(&waker);
    assert!(ptr::eq(cx.waker(), &waker));
    let kept = cx.waker().clone();
    assert!(kept.will_wake(&waker));
    assert_eq!(kept.data(), Arc::as_ptr(&counter).cast());
}

/// `clone_from` clones nothing if the wakers know each other: what `will_wake` is for.
#[test]
fn clone_from_a_waker_of_the_same_counter_is_free() {
    let ledger = Ledger::open();
    let (waker, counter) = counting();
    let mut kept = waker.clone();
    kept.clone_from(&waker);
    assert_eq!(ledger.count(Event::Clone), 1);
    kept.clone_from(&counting().0);
    assert_eq!(ledger.count(Event::Clone), 2);
    assert_eq!(Arc::strong_count(&counter), 2, "`kept` has gone over to another counter");
}

/// The two words, and the niche that makes an absent waker cost nothing.
#[test]
fn a_waker_is_two_words() {
    assert_eq!(mem::size_of::<Waker>(), 2 * mem::size_of::<usize>());
    assert_eq!(mem::size_of::<Option<Waker>>(), mem::size_of::<Waker>());
}

/// Every one of the four is written down, and `wake` is a wake and a drop.
#[test]
fn the_ledger_tells_the_life_of_a_waker() {
    let ledger = Ledger::open();
    let (waker, _counter) = counting();
    let second = waker.clone();
    waker.wake_by_ref();
    second.wake();
    drop(waker);
    Ledger::close();
    let events = ledger.entries().iter().map(|entry| entry.event).collect::<Vec<_>>();
    use Event::{Clone, Drop, Wake};
    assert_eq!(events, [Clone, Wake, Wake, Drop, Drop]);
    assert!(ledger.entries().iter().all(|entry| entry.who == "waker"));
}

/// A future that is watched while one ledger is open, and polled again while another one is.
#[test]
fn a_wake_is_written_into_the_ledger_that_is_open() {
    let kept = RefCell::new(None);
    let mut watched = pin!(watch(
        "future",
        poll_fn(|cx| {
            *kept.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
    ));
    let (waker, _counter) = counting();
    for _ in 0..2 {
        let ledger = Ledger::open();
        assert!(watched.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let first = kept.take().unwrap();
        assert!(watched.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(kept.borrow().as_ref().unwrap().will_wake(&first), "nothing has changed");
        first.wake();
        let wakes = ledger.entries().iter().filter(|entry| entry.event == Event::Wake).count();
        assert_eq!(wakes, 2, "of the future, and of the waker above it");
    }
}

/// `waker_fn` calls its closure once a wake, on the thread that wakes.
#[test]
fn waker_fn_calls_on_the_waking_thread() {
    let calls = Arc::new(Mutex::new(Vec::<ThreadId>::new()));
    let waker = waker_fn({
        let calls = calls.clone();
        move || calls.lock().unwrap().push(thread::current().id())
    });
    let other = waker.clone();
    waker.wake_by_ref();
    waker.wake();
    let thread = thread::spawn(move || {
        other.wake();
        thread::current().id()
    });
    let (here, there) = (thread::current().id(), thread.join().unwrap());
    assert_eq!(*calls.lock().unwrap(), [here, here, there]);
}

/// The closure lives as long as its last waker, and is dropped once.
#[test]
fn waker_fn_drops_its_closure_with_the_last_waker() {
    let drops = Drops::default();
    let token = drops.token();
    let waker = waker_fn(move || _ = &token);
    let clones = [waker.clone(), waker.clone()];
    waker.wake();
    assert_eq!(drops.count(), 0);
    clones.into_iter().for_each(Waker::wake);
    assert_eq!(drops.count(), 1);
}

/// Invariants 1, 2 and 4. A waker that is lent has no share, its clones have, and outlive it.
#[test]
fn a_waker_that_is_lent_is_not_counted() {
    struct Wakes(AtomicUsize);
    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    let lent = waker_ref(&wakes);
    assert_eq!(Arc::strong_count(&wakes), 1);
    lent.wake_by_ref();
    let kept = Context::from_waker(&lent).waker().clone();
    // Miri gives std's table another address at each of its uses.
    assert!(kept.will_wake(&lent) || cfg!(miri));
    assert_eq!(Arc::strong_count(&wakes), 2);
    drop(lent);
    assert_eq!(Arc::strong_count(&wakes), 2, "`wakes` and `kept`");
    let left = Arc::downgrade(&wakes);
    drop(wakes);
    assert_eq!(left.upgrade().map(|wakes| wakes.0.load(Ordering::Relaxed)), Some(1));
    thread::spawn(|| kept.wake()).join().unwrap();
    assert!(left.upgrade().is_none(), "the last waker is gone, and it with it");
}

/// What was done before the wake is seen by whoever finds the flag set. Miri reports a data race if
/// the `Release` in `flag_waker` is anything less.
#[test]
fn the_flag_publishes_what_came_before_the_wake() {
    struct Shared(std::cell::UnsafeCell<u32>);
    // SAFETY: the one thread that writes does so before the wake, the one that reads after it.
    unsafe impl Sync for Shared {}
    static ANSWER: Shared = Shared(std::cell::UnsafeCell::new(0));
    static FLAG: AtomicBool = AtomicBool::new(false);

    let waker = flag_waker(&FLAG);
    let writer = thread::spawn(move || {
        // SAFETY: nobody reads before the wake.
        unsafe { *ANSWER.0.get() = 42 };
        waker.wake();
    });
    while !FLAG.load(Ordering::Acquire) {
        thread::yield_now();
    }
    // SAFETY: the wake was seen, so the writer has written.
    assert_eq!(unsafe { *ANSWER.0.get() }, 42);
    writer.join().unwrap();
}
