// [lost-wake] no_order_hangs
//
// `sleep_sparingly`, as it was given.

pub mod extend {
    use std::sync::atomic::Ordering::SeqCst;

    use crate::support::schedules::model;

    pub use super::super::super::super::reference::subject::extend::*;

    pub struct Sleeper {
        woken: model::AtomicBool,
        parked: model::AtomicBool,
        thread: model::thread::Thread,
    }

    impl Sleeper {
        pub fn new() -> Self {
            let [woken, parked] = [(); 2].map(|()| model::AtomicBool::new(false));
            Sleeper { woken, parked, thread: model::thread::current() }
        }

        pub fn wake(&self) {
            if !self.woken.swap(true, SeqCst) && self.parked.swap(false, SeqCst) {
                self.thread.unpark();
            }
        }

        pub fn sleep(&self) {
            while !self.woken.swap(false, SeqCst) {
                if !self.woken.load(SeqCst) {
                    self.parked.store(true, SeqCst);
                    model::thread::park();
                    self.parked.store(false, SeqCst);
                }
            }
        }
    }
}
