// [freed-too-early] clone_adds_an_owner
//
// Copies the two words and calls it a clone. Two wakers share one share: the first of them to go
// frees the counter, the second looks at freed memory and frees it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

// ANCHOR: clone
unsafe fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &TABLE)
}
// ANCHOR_END: clone

unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's share is ours now.
    let counter = unsafe { Arc::<Counter>::from_raw(data.cast()) };
    counter.0.fetch_add(1, Ordering::Relaxed);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the caller's share is alive.
    let counter = unsafe { &*data.cast::<Counter>() };
    counter.0.fetch_add(1, Ordering::Relaxed);
}

unsafe fn drop(data: *const ()) {
    // SAFETY: the caller's share is ours now.
    unsafe { Arc::decrement_strong_count(data.cast::<Counter>()) };
}

#[derive(Default)]
pub struct Counter(AtomicUsize);

impl Counter {
    pub fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

pub fn counting() -> (Waker, Arc<Counter>) {
    let counter = Arc::<Counter>::default();
    let data = Arc::into_raw(counter.clone()).cast();
    // SAFETY: the pointer and the table fit.
    (unsafe { Waker::from_raw(RawWaker::new(data, &TABLE)) }, counter)
}
