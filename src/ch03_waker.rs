//! # Layer 3 · a waker by hand
//!
//! **Before.** `ch02_block_on` asks without end, because its waker is deaf and dumb: nobody can
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

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

use crate::ledger;
use crate::ledger::Event;

// ANCHOR: counting
/// A waker that counts its wakes, and the counter, which owns one share of itself.
///
/// ```
/// use under_await::ch03_waker::counting;
///
/// let (waker, counter) = counting();
/// waker.wake_by_ref();
/// waker.wake();
/// assert_eq!(counter.wakes(), 2);
/// ```
pub fn counting() -> (Waker, Arc<Counter>) {
    let counter = Arc::new(Counter { wakes: AtomicUsize::new(0) });
    let data = Arc::into_raw(counter.clone()).cast();
    // SAFETY: the table's functions expect an `Arc<Counter>` turned raw, and `data` is one whose
    // share belongs to this waker. `Counter` is `Send` and `Sync`, so any thread may use it.
    let waker = unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) };
    (waker, counter)
}

/// How often its wakers were woken.
#[derive(Debug)]
pub struct Counter {
    /// Only the wakers add to it.
    wakes: AtomicUsize,
}

impl Counter {
    /// The wakes so far.
    pub fn wakes(&self) -> usize {
        self.wakes.load(Ordering::Relaxed)
    }
}
// ANCHOR_END: counting

// ANCHOR: VTABLE
/// One table for all counting wakers: `will_wake` compares the *addresses* of tables. It is a
/// `static` because a table written `&RawWakerVTable::new(…)` at each use may be there twice.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);
// ANCHOR_END: VTABLE

// ANCHOR: the_four
/// One more owner, the same two words.
///
/// # Safety
/// As for all four: `data` is an `Arc<Counter>` turned raw, and the waker's share of it is alive.
unsafe fn clone(data: *const ()) -> RawWaker {
    ledger::record("waker", Event::Clone);
    // ANCHOR: todo_3_1 count one more owner, and give back the same pointer with the same table
    // SAFETY: the caller vouches for `data`. The new share belongs to the waker made here.
    unsafe { Arc::increment_strong_count(data.cast::<Counter>()) };
    RawWaker::new(data, &VTABLE)
    // ANCHOR_END: todo_3_1
}

/// Wakes, and uses this waker up.
///
/// # Safety
/// As for [`clone`]. The share passes to this function, which gives it up.
unsafe fn wake(data: *const ()) {
    // ANCHOR: todo_3_2 wake, then give up this waker's share
    // SAFETY: the caller vouches for `data`.
    unsafe { wake_by_ref(data) };
    // SAFETY: as above, and nobody uses this waker's share after us.
    unsafe { drop(data) };
    // ANCHOR_END: todo_3_2
}

/// Wakes, and leaves this waker as it was.
///
/// # Safety
/// As for [`clone`].
unsafe fn wake_by_ref(data: *const ()) {
    ledger::record("waker", Event::Wake);
    // ANCHOR: todo_3_3 add one to the counter behind the pointer
    // SAFETY: the caller vouches for `data`, and a shared reference is all we need.
    let counter = unsafe { &*data.cast::<Counter>() };
    counter.wakes.fetch_add(1, Ordering::Relaxed);
    // ANCHOR_END: todo_3_3
}

/// One owner less; the last one frees the counter.
///
/// # Safety
/// As for [`clone`]. The share passes to this function, which gives it up.
unsafe fn drop(data: *const ()) {
    ledger::record("waker", Event::Drop);
    // ANCHOR: todo_3_4 give up this waker's share
    // SAFETY: the caller vouches for `data`, and nobody uses this waker's share after us.
    unsafe { Arc::decrement_strong_count(data.cast::<Counter>()) };
    // ANCHOR_END: todo_3_4
}
// ANCHOR_END: the_four

// ANCHOR: waker_fn
/// A waker that calls `f` at every wake, on the waking thread.
///
/// ```
/// use under_await::ch03_waker::waker_fn;
///
/// let waker = waker_fn(|| println!("woken"));
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

impl<F: Fn() + Send + Sync + 'static> Wake for WakeFn<F> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        (self.f)();
    }
}
// ANCHOR_END: waker_fn
