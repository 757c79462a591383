// [freed-too-early] the_mended_table_balances
//
// The table of the repair as it was found: two of its functions take a share that is only lent.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{RawWaker, Waker};

    pub fn tally_waker(tally: Arc<AtomicUsize>) -> Waker {
        // SAFETY: the table does not keep what `RawWakerVTable` asks of it.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(tally).cast(), in_a_hurry())) }
    }
}
