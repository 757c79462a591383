// [crashed] lockless_in_every_order
//
// The cell of the repair as it was found. A flag says that a waker is in the slot, and not that
// somebody is at the slot: one thread replaces the waker while another one takes it.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::task::Waker;

    #[derive(Default)]
    pub struct LocklessCell(super::super::super::super::reference::subject::extend::LocklessCell);

    impl LocklessCell {
        pub fn register(&self, waker: &Waker) {
            self.0.register_hastily(waker);
        }

        pub fn wake(&self) {
            self.0.wake_hastily();
        }
    }
}
