// [wrong-wake] one_wake_ends_one_of_two_sleeps
//
// Looks once, parks once, and takes the end of the park for a wake. The token that ends the park may be
// left over: a wake that came while the thread was about to sleep is seen by the look, and has unparked
// too.

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
            self.parked.store(true, SeqCst);
            if !self.woken.swap(false, SeqCst) {
                model::thread::park();
                self.woken.store(false, SeqCst);
            }
            self.parked.store(false, SeqCst);
        }
    }
}
