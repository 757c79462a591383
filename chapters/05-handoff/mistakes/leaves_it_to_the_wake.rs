// [lost-wake] lockless_in_every_order
//
// Has the three states, and goes away when a wake is under way, as if that wake would do. But that
// one wakes the waker kept before, and the wake after it finds none.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::sync::atomic::Ordering::SeqCst;
    use std::task::Waker;

    use crate::support::schedules::model::{AtomicU8, Exclusive};

    #[derive(Default)]
    pub struct LocklessCell(AtomicU8, Exclusive<Option<Waker>>);

    impl LocklessCell {
        pub fn register(&self, waker: &Waker) {
            if self.0.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
                return;
            }
            let _older = self.1.with(|slot| slot.replace(waker.clone()));
            if self.0.swap(0, SeqCst) != 1 {
                waker.wake_by_ref();
            }
        }

        pub fn wake(&self) {
            if self.0.fetch_or(2, SeqCst) == 0 {
                let waker = self.1.with(Option::take);
                self.0.swap(0, SeqCst);
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}
