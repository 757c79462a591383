// [busy-poll] no_order_returns_without_a_ring
//
// `if` instead of `while`: takes every end of a park for a ring. Whoever else unparks the thread
// ends the wait, and so does the token of a ring that came before the park.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::sync::atomic::Ordering;

    use crate::support::schedules::model;

    pub struct Bell {
        rung: model::AtomicBool,
        sleeper: model::thread::Thread,
    }

    impl Bell {
        pub fn new() -> Self {
            Bell { rung: model::AtomicBool::new(false), sleeper: model::thread::current() }
        }

        pub fn ring(&self) {
            self.rung.store(true, Ordering::Release);
            self.sleeper.unpark();
        }

        pub fn wait(&self) {
            if !self.rung.swap(false, Ordering::Acquire) {
                model::thread::park();
            }
        }
    }
}
