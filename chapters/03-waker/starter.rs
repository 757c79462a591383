//! # Layer 3 · a waker by hand
//!
//! **Before.** `ch02_block_on` asks without end, because its waker does nothing: nobody can
//! tell it that asking has become worth while.
//!
//! **Idea.** A waker is two words: a pointer to anything, and a table of four functions that know
//! what is behind the pointer. What `wake` does is up to whoever made the waker.
//!
//! **Invariants.**
//! 1. *Balance:* `clone` adds an owner, `wake` and `drop` take one away, `wake_by_ref` neither.
//! 2. *Last one out:* what is behind the pointer lives as long as its last waker.
//! 3. *Any thread:* every one of the four may run anywhere, also at the same time.
//! 4. *Identity:* wakers with the same pointer and table know each other by `will_wake`.
//!
//! **Still wrong.** These wakers count and call closures; none of them ends a sleep yet. The next
//! layer, [`ch04_park`](crate::ch04_park), sleeps, and is woken.
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

use under_await::ledger;
use under_await::ledger::Event;

/// A waker that counts its wakes, and the counter, which it shares with the caller.
///
/// ```
/// let (waker, counter) = under_await::ch03_waker::counting();
/// waker.wake_by_ref();
/// waker.wake();
/// assert_eq!(counter.wakes(), 2);
/// ```
pub fn counting() -> (Waker, Arc<Counter>) {
    let counter = Arc::new(Counter { wakes: AtomicUsize::new(0) });
    let data = Arc::into_raw(counter.clone()).cast();
    // SAFETY: the pointer and the table fit, as `VTABLE` wants: the clone's share is this waker's.
    // `Counter` is `Send` and `Sync`, so the four functions may run on any thread.
    let waker = unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) };
    (waker, counter)
}

/// How often its wakers were woken.
#[derive(Debug)]
pub struct Counter {
    /// Only the wakers add to it. Nobody reads other memory on the strength of this number, so
    /// `Relaxed` is enough everywhere.
    wakes: AtomicUsize,
}

impl Counter {
    /// The wakes so far.
    pub fn wakes(&self) -> usize {
        self.wakes.load(Ordering::Relaxed)
    }
}

/// One table for all counting wakers, in one place: `will_wake` compares the *addresses* of
/// tables, and `&RawWakerVTable::new(…)` written at every use may give several.
///
/// # Safety
/// Each of the four wants the pointer of a living waker of this table: an `Arc<Counter>` turned
/// raw, of which one share is that waker's. `clone` and `wake_by_ref` borrow the share; `wake` and
/// `drop` take it, and the waker is gone.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// One more owner, the same two words. Safety: see [`VTABLE`].
unsafe fn clone(data: *const ()) -> RawWaker {
    ledger::record("waker", Event::Clone);
    todo!("3.1: count one more owner, and give back the same pointer and table")
}

/// Wakes, and leaves the waker as it was. Safety: see [`VTABLE`].
unsafe fn wake_by_ref(data: *const ()) {
    ledger::record("waker", Event::Wake);
    todo!("3.2: add one to the counter behind the pointer, and keep its owners")
}

/// One owner less; the last one frees the counter. Safety: see [`VTABLE`].
unsafe fn drop(data: *const ()) {
    ledger::record("waker", Event::Drop);
    todo!("3.3: give up this waker's share")
}

/// Wakes, and uses the waker up. Safety: see [`VTABLE`].
unsafe fn wake(data: *const ()) {
    todo!("3.4: wake, then give up this waker's share")
}

/// A waker that calls `f` at every wake, on the waking thread.
///
/// ```
/// let waker = under_await::ch03_waker::waker_fn(|| println!("woken"));
/// waker.wake();
/// ```
pub fn waker_fn<F: Fn() + Send + Sync + 'static>(f: F) -> Waker {
    Waker::from(Arc::new(WakeFn { f }))
}

/// What [`waker_fn`] puts behind the pointer; std's [`Wake`] writes the table for it.
struct WakeFn<F> {
    /// Called at every wake.
    f: F,
}

impl<F: Fn()> Wake for WakeFn<F> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        (self.f)();
    }
}

/// `wake` as a waker without a share of its own, as long as the borrow lasts; a clone of it has one.
/// An executor polls with it: most futures never keep their waker, and then nothing is counted.
///
/// futures has a function of this name, for its own trait.
pub fn waker_ref<W: Wake + Send + Sync + 'static>(wake: &Arc<W>) -> impl Deref<Target = Waker> {
    // SAFETY: the pointer is that of `wake`, which is borrowed as long as this second `Arc` is used;
    // and it is never dropped, so the share that it does not have is never given up.
    let lent = unsafe { Arc::from_raw(Arc::as_ptr(wake)) };
    ManuallyDrop::new(Waker::from(lent))
}

/// What the chapter does not show.
pub mod extend {
    // What chapter 3 asks beyond its layer.

    use std::ptr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::{RawWaker, RawWakerVTable, Waker};

    use crate::support::schedules::model;

    /// A waker that does nothing and allocates nothing: std's `Waker::noop`, by hand.
    pub fn noop() -> Waker {
        todo!("3.5: a null pointer, and one table of functions that do nothing")
    }

    /// A waker whose wakes set `flag`: two words, no allocation, no counting.
    pub fn flag_waker(flag: &'static AtomicBool) -> Waker {
        todo!("3.6: the pointer is the flag's address; what is there to count?")
    }

    /// A waker that adds one to `tally` at each wake; one share of `tally` is its own.
    pub fn tally_waker(tally: Arc<AtomicUsize>) -> Waker {
        // SAFETY: the pointer and the table fit: each of the four wants an `Arc<AtomicUsize>` turned
        // raw, one share of which is the waker's.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(tally).cast(), mended())) }
    }

    /// The table of [`tally_waker`].
    fn mended() -> &'static RawWakerVTable {
        todo!("3.7: what `in_a_hurry` below wants to be, with its owners in balance")
    }

    /// The table to mend. Every function begins with the same line: it turns the pointer back into the
    /// `Arc` that it came from.
    pub fn in_a_hurry() -> &'static RawWakerVTable {
        unsafe fn clone(data: *const ()) -> RawWaker {
            // SAFETY: `data` is an `Arc<AtomicUsize>` turned raw. (That is true, and not enough.)
            let tally = unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) };
            RawWaker::new(Arc::into_raw(tally.clone()).cast(), &TABLE)
        }
        unsafe fn wake(data: *const ()) {
            // SAFETY: as above.
            let tally = unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) };
            tally.fetch_add(1, Ordering::Relaxed);
        }
        unsafe fn wake_by_ref(data: *const ()) {
            // SAFETY: as above.
            let tally = unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) };
            tally.fetch_add(1, Ordering::Relaxed);
        }
        unsafe fn drop(data: *const ()) {
            // SAFETY: as above.
            let _tally = unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) };
        }
        static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);
        &TABLE
    }

    /// How many own a thing that no `Arc` holds: what a runtime keeps in the head of a task. Cloning a
    /// waker adds an owner, dropping one removes an owner, and whoever removes the last frees it. It is
    /// written with the model's atomics, so that the checks can play every order of its steps.
    #[derive(Debug)]
    pub struct Owners {
        /// Changed by `add` and `remove` alone.
        count: model::AtomicUsize,
    }

    impl Owners {
        /// One owner.
        #[expect(clippy::new_without_default, reason = "a default of one would surprise")]
        pub fn new() -> Self {
            Owners { count: model::AtomicUsize::new(1) }
        }

        /// One owner more.
        pub fn add(&self) {
            // `Relaxed`: whoever adds an owner is one, so nobody frees meanwhile.
            self.count.fetch_add(1, Ordering::Relaxed);
        }

        /// One owner less. `true` if that was the last one, and the caller is to free.
        pub fn remove(&self) -> bool {
            todo!("3.8: what `remove_in_two_steps` below wants, so that exactly one frees")
        }

        /// The version to mend: takes one away, then looks whether any are left.
        pub fn remove_in_two_steps(&self) -> bool {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.count.load(Ordering::Acquire) == 0
        }
    }
}
