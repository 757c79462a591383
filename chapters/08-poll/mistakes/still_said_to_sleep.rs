// [extra-call] who_is_awake_is_not_unparked
//
// Says that it sleeps, sees that it was woken, and goes. It never says that it is awake, so the next
// wake makes a system call for a thread that is not asleep.

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
            loop {
                self.parked.store(true, SeqCst);
                if self.woken.swap(false, SeqCst) {
                    break;
                }
                model::thread::park();
            }
        }
    }
}
