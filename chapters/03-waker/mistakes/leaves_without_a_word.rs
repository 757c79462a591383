// [unseen] one_of_two_owners_frees
//
// Counts right, but hands nothing on. Whoever frees may still see the task as it was before the
// others used it for the last time: what they wrote then is written to freed memory.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::sync::atomic::Ordering;

    use crate::support::schedules::model::AtomicUsize;

    pub struct Owners(AtomicUsize);

    impl Owners {
        pub fn new() -> Self {
            Owners(AtomicUsize::new(1))
        }

        pub fn add(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        pub fn remove(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }
}
