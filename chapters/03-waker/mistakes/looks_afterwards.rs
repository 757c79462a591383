// [freed-too-early] one_of_two_owners_frees
//
// Takes one away, then looks whether any are left. Two owners that leave together both find none.

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
            self.0.fetch_sub(1, Ordering::AcqRel);
            self.0.load(Ordering::Acquire) == 0
        }
    }
}
