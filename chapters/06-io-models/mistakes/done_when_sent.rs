// [data-lost] all_of_it_comes_back
//
// When the input has been sent, it is done. What the server has not sent by then is never read.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub use super::super::super::super::reference::subject::extend::exchange_hastily as exchange;
}
