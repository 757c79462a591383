// [busy-poll] condvar_looks_again
//
// `if` instead of `while`: takes every end of the wait for a wake. A condition variable may let a
// thread go on although nobody has notified it.

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
            let mut woken = self.0.woken.lock().unwrap();
            if !*woken {
                woken = self.0.changed.wait(woken).unwrap();
            }
            *woken = false;
        }
    }

    impl Wake for Signal {
        fn wake(self: Arc<Self>) {
            *self.woken.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }
}
