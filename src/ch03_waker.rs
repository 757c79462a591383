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

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

use crate::ledger;
use crate::ledger::Event;

// ANCHOR: counting
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
// ANCHOR_END: counting

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

// ANCHOR: VTABLE
/// One table for all counting wakers, in one place: `will_wake` compares the *addresses* of
/// tables, and `&RawWakerVTable::new(…)` written at every use may give several.
///
/// # Safety
/// Each of the four wants the pointer of a living waker of this table: an `Arc<Counter>` turned
/// raw, of which one share is that waker's. `clone` and `wake_by_ref` borrow the share; `wake` and
/// `drop` take it, and the waker is gone.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);
// ANCHOR_END: VTABLE

// ANCHOR: clone
/// One more owner, the same two words. Safety: see [`VTABLE`].
unsafe fn clone(data: *const ()) -> RawWaker {
    ledger::record("waker", Event::Clone);
    // ANCHOR: todo_3_1 count one more owner, and give back the same pointer and table
    // SAFETY: `data` is an `Arc<Counter>` turned raw, and the caller's share keeps it alive. The
    // new share goes to the waker that is made of the next line.
    unsafe { Arc::increment_strong_count(data.cast::<Counter>()) };
    RawWaker::new(data, &VTABLE)
    // ANCHOR_END: todo_3_1
}
// ANCHOR_END: clone

// ANCHOR: wake_by_ref
/// Wakes, and leaves the waker as it was. Safety: see [`VTABLE`].
unsafe fn wake_by_ref(data: *const ()) {
    ledger::record("waker", Event::Wake);
    // ANCHOR: todo_3_2 add one to the counter behind the pointer, and keep its owners
    // SAFETY: `data` points to a `Counter` that the caller's share keeps alive during this call,
    // and that is only ever borrowed shared.
    let counter = unsafe { &*data.cast::<Counter>() };
    counter.wakes.fetch_add(1, Ordering::Relaxed);
    // ANCHOR_END: todo_3_2
}
// ANCHOR_END: wake_by_ref

// ANCHOR: drop_and_wake
/// One owner less; the last one frees the counter. Safety: see [`VTABLE`].
unsafe fn drop(data: *const ()) {
    ledger::record("waker", Event::Drop);
    // ANCHOR: todo_3_3 give up this waker's share
    // SAFETY: `data` is an `Arc<Counter>` turned raw, and the share given up is the caller's own.
    unsafe { Arc::decrement_strong_count(data.cast::<Counter>()) };
    // ANCHOR_END: todo_3_3
}

/// Wakes, and uses the waker up. Safety: see [`VTABLE`].
unsafe fn wake(data: *const ()) {
    // ANCHOR: todo_3_4 wake, then give up this waker's share
    // SAFETY: the caller's share is alive: it is given up by the next line and not before.
    unsafe { wake_by_ref(data) };
    // SAFETY: the share was passed to us, and nothing uses it after this line.
    unsafe { drop(data) };
    // ANCHOR_END: todo_3_4
}
// ANCHOR_END: drop_and_wake

// ANCHOR: waker_fn
/// A waker that calls `f` at every wake, on the waking thread.
///
/// ```
/// let waker = under_await::ch03_waker::waker_fn(|| println!("woken"));
/// waker.wake();
/// ```
pub fn waker_fn<F: Fn() + Send + Sync + 'static>(f: F) -> Waker {
    Waker::from(Arc::new(WakeFn { f }))
}
// ANCHOR_END: waker_fn

// ANCHOR: WakeFn
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
// ANCHOR_END: WakeFn

// ANCHOR: waker_ref
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
// ANCHOR_END: waker_ref
