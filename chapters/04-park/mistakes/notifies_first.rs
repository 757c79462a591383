// [lost-wake] condvar_in_every_order
//
// Notifies before there is anything to see. A sleeper that looks after that finds the flag as it
// was, and nobody will notify it again.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use crate::support::schedules::model::{Condvar, Mutex};

    #[derive(Clone, Default)]
    pub struct CondvarParker(Arc<Signal>);

    #[derive(Default)]
    struct Signal {
        woken: Mutex<bool>,
        changed: Condvar,
    }

    impl CondvarParker {
        pub fn waker(&self) -> Waker {
            self.0.clone().into()
        }

        pub fn park(&self) {
            let woken = self.0.woken.lock().unwrap();
            *self.0.changed.wait_while(woken, |woken| !*woken).unwrap() = false;
        }
    }

    impl Wake for Signal {
        fn wake(self: Arc<Self>) {
            self.changed.notify_one();
            *self.woken.lock().unwrap() = true;
        }
    }
}
