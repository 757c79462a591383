// [freed-too-early] the_last_one_frees
//
// Gives up the share, then wakes. It is right as long as somebody else has a share too: only the
// last waker adds one to a counter that is freed already.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

use under_await::ledger;
use under_await::ledger::Event;

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's share is alive, and the new one is the clone's.
    unsafe { Arc::increment_strong_count(data.cast::<Counter>()) };
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's share is ours now.
    unsafe { drop(data) };
    // SAFETY: not kept: nobody knows whether the counter is still there.
    unsafe { wake_by_ref(data) };
}

unsafe fn wake_by_ref(data: *const ()) {
    ledger::record("waker", Event::Wake);
    // SAFETY: the caller's share is alive.
    let counter = unsafe { &*data.cast::<Counter>() };
    counter.0.fetch_add(1, Ordering::Relaxed);
}

unsafe fn drop(data: *const ()) {
    ledger::record("waker", Event::Drop);
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
