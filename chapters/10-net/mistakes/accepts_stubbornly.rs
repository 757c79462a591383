// [never-returns] waits_for_a_free_descriptor
//
// The loop that was to be mended. Without a free descriptor accept(2) fails at once, so nothing in the
// loop is ever pending: the thread spins in one poll, and the future that could close a descriptor waits
// for it.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub use accept_stubbornly as accept_patiently;
}
