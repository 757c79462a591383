// [wrong-wake] a_wake_sets_the_flag
//
// Uses one function in three places of the table. The third is `drop`: a waker that is merely
// given up wakes the task.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{RawWaker, RawWakerVTable, Waker};

    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, wake);

    fn clone(flag: *const ()) -> RawWaker {
        RawWaker::new(flag, &TABLE)
    }

    unsafe fn wake(flag: *const ()) {
        // SAFETY: the pointer is the address of a `&'static` flag.
        unsafe { &*flag.cast::<AtomicBool>() }.store(true, Ordering::Release);
    }

    pub fn flag_waker(flag: &'static AtomicBool) -> Waker {
        // SAFETY: the pointer and the table fit.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(flag).cast(), &TABLE)) }
    }
}
