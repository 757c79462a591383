// [leak] one_of_two_owners_frees
//
// Looks whether it is the last one, then takes one away. Two owners that leave together both see
// each other, and nobody frees.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;
    use crate::support::schedules::model::AtomicUsize;
    use std::sync::atomic::Ordering;

    pub struct Owners(AtomicUsize);

    impl Owners {
        pub fn new() -> Self {
            Owners(AtomicUsize::new(1))
        }

        pub fn add(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        pub fn remove(&self) -> bool {
            let last = self.0.load(Ordering::Acquire) == 1;
            self.0.fetch_sub(1, Ordering::AcqRel);
            last
        }
    }
}
