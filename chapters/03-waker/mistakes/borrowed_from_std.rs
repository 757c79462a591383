// [wrong-result] a_table_of_its_own
//
// Right, and no exercise: std's own waker, under another name.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub fn noop() -> std::task::Waker {
        std::task::Waker::noop().clone()
    }
}
