// [allocates] a_flag_waker_allocates_nothing
//
// Puts a closure with the flag's address into an `Arc`: right, and an allocation for something that
// is one word long and never freed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;
    use super::*;

    pub fn flag_waker(flag: &'static AtomicBool) -> Waker {
        waker_fn(move || flag.store(true, Ordering::Release))
    }
}
