// [wrong-type] frees_what_was_made
//
// Takes the pointer for that of an `Arc<()>`: without the cast that is what it looks like. The count
// of owners is right, and what is freed is smaller than what was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

pub struct Counter(AtomicUsize);

impl Counter {
    pub fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

pub fn counting() -> (Waker, Arc<Counter>) {
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let data = Arc::into_raw(counter.clone()).cast();
    // SAFETY: the pointer and the table fit, the share is the waker's. (The table keeps its word so
    // far as to count; see `drop`.)
    (unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }, counter)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake_by_ref, wake_by_ref, drop);

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's share keeps the counter alive.
    unsafe { Arc::increment_strong_count(data.cast::<Counter>()) };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake_by_ref(_: *const ()) {}

unsafe fn drop(data: *const ()) {
    // SAFETY: none: `data` was made from an `Arc<Counter>`.
    unsafe { Arc::decrement_strong_count(data) };
}
