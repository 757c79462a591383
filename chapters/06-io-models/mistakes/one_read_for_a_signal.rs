// [data-lost] many_writes_one_signal
//
// One signal, one read. Signals that are pending already do not come twice, so what the read has
// left stays in the pipe until something else is written.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub use super::super::super::super::reference::subject::extend::on_signal_hastily as on_signal;
}
