// [leak] wake_gives_up_its_owner
//
// Wakes, and forgets that a waker that is woken by value is gone: std does not call `drop` after
// `wake`. The counter is never freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake_by_ref, wake_by_ref, drop);

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's share is alive, and the new one is the clone's.
    unsafe { Arc::increment_strong_count(data.cast::<Counter>()) };
    RawWaker::new(data, &TABLE)
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
