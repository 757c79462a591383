// [freed-too-early] the_last_tally_frees
//
// `wake` gives up its share and then counts, through a pointer that nobody keeps alive any more. As
// long as there is another owner, nothing happens.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{RawWaker, RawWakerVTable, Waker};

    pub fn tally_waker(tally: Arc<AtomicUsize>) -> Waker {
        // SAFETY: the pointer and the table fit; one share is the waker's.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(tally).cast(), &TABLE)) }
    }

    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the caller's share keeps the tally alive.
        unsafe { Arc::increment_strong_count(data.cast::<AtomicUsize>()) };
        RawWaker::new(data, &TABLE)
    }

    unsafe fn wake(data: *const ()) {
        // SAFETY: the share is the waker's own.
        unsafe { drop(data) };
        // SAFETY: none: the tally may be gone.
        unsafe { wake_by_ref(data) };
    }

    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: the caller's share keeps the tally alive.
        unsafe { &*data.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    }

    unsafe fn drop(data: *const ()) {
        // SAFETY: the share is the waker's own.
        unsafe { Arc::decrement_strong_count(data.cast::<AtomicUsize>()) };
    }
}
