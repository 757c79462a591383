// [not-the-same] clones_know_each_other
//
// Makes a table for every clone. They hold the same four functions at different addresses, so no
// future ever recognises its own waker, and each poll costs a clone and a drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

// ANCHOR: clone
fn table() -> &'static RawWakerVTable {
    Box::leak(Box::new(RawWakerVTable::new(clone, wake, wake_by_ref, drop)))
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's share is alive, and the new one is the clone's.
    unsafe { Arc::increment_strong_count(data.cast::<Counter>()) };
    RawWaker::new(data, table())
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
    (unsafe { Waker::from_raw(RawWaker::new(data, table())) }, counter)
}
