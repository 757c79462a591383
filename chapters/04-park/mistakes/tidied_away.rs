// [lost-wake] no_order_hangs
//
// Clears the flag at the beginning of the wait: a ring that came before it is gone.

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
            self.rung.store(false, Ordering::Release);
            model::thread::park();
            while !self.rung.load(Ordering::Acquire) {
                model::thread::park();
            }
        }
    }
}
