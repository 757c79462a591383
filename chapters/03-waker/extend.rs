// What chapter 3 asks beyond its layer.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::support::schedules::model;

/// A waker that does nothing and allocates nothing: std's `Waker::noop`, by hand.
pub fn noop() -> Waker {
    // ANCHOR: todo_3_5 a null pointer, and one table of functions that do nothing
    fn clone(_: *const ()) -> RawWaker {
        RawWaker::new(ptr::null(), &TABLE)
    }
    fn nothing(_: *const ()) {}
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, nothing, nothing, nothing);
    // SAFETY: none of the four looks behind the pointer, so null will do, on every thread.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) }
    // ANCHOR_END: todo_3_5
}

/// A waker whose wakes set `flag`: two words, no allocation, no counting.
pub fn flag_waker(flag: &'static AtomicBool) -> Waker {
    // ANCHOR: todo_3_6 the pointer is the flag's address; what is there to count?
    fn clone(flag: *const ()) -> RawWaker {
        RawWaker::new(flag, &TABLE)
    }
    unsafe fn wake(flag: *const ()) {
        // SAFETY: the pointer of every waker of this table is the address of a `&'static` flag.
        let flag = unsafe { &*flag.cast::<AtomicBool>() };
        // Pairs with the `Acquire` of whoever looks at the flag: what was done before the wake is
        // seen by then.
        flag.store(true, Ordering::Release);
    }
    fn drop(_: *const ()) {}
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);
    // SAFETY: the pointer and the table fit: `wake` wants the address of a `&'static` flag, which
    // any thread may use at any time. There is no share to give up, so `wake` may serve twice.
    unsafe { Waker::from_raw(RawWaker::new(ptr::from_ref(flag).cast(), &TABLE)) }
    // ANCHOR_END: todo_3_6
}

/// A waker that adds one to `tally` at each wake; one share of `tally` is its own.
pub fn tally_waker(tally: Arc<AtomicUsize>) -> Waker {
    // SAFETY: the pointer and the table fit: each of the four wants an `Arc<AtomicUsize>` turned
    // raw, one share of which is the waker's.
    unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(tally).cast(), mended())) }
}

/// The table of [`tally_waker`].
fn mended() -> &'static RawWakerVTable {
    // ANCHOR: todo_3_7 what `in_a_hurry` below wants to be, with its owners in balance
    use std::mem::ManuallyDrop;
    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: `data` is an `Arc<AtomicUsize>` turned raw, and its share stays with the waker
        // that is being cloned: `ManuallyDrop` does not give it up.
        let tally = ManuallyDrop::new(unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) });
        RawWaker::new(Arc::into_raw(Arc::clone(&tally)).cast(), &TABLE)
    }
    unsafe fn wake(data: *const ()) {
        // SAFETY: as above, but the waker is used up: its share is ours, and goes with `tally`.
        let tally = unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) };
        tally.fetch_add(1, Ordering::Relaxed);
    }
    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: as in `clone`: the share stays with the waker.
        let tally = ManuallyDrop::new(unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) });
        tally.fetch_add(1, Ordering::Relaxed);
    }
    unsafe fn drop(data: *const ()) {
        // SAFETY: as in `wake`.
        let _tally = unsafe { Arc::<AtomicUsize>::from_raw(data.cast()) };
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);
    &TABLE
    // ANCHOR_END: todo_3_7
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
        // ANCHOR: todo_3_8 what `remove_in_two_steps` below wants, so that exactly one frees
        // `Release`: what this owner did comes before the freeing. `Acquire`: so does what the
        // others did, if this owner is the one that frees.
        self.count.fetch_sub(1, Ordering::AcqRel) == 1
        // ANCHOR_END: todo_3_8
    }

    /// The version to mend: takes one away, then looks whether any are left.
    pub fn remove_in_two_steps(&self) -> bool {
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.count.load(Ordering::Acquire) == 0
    }
}
