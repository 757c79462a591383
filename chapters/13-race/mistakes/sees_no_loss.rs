// [wrong-result] the_table_is_what_happens
//
// Takes every future for cancel safe that does not say otherwise.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub fn loss(_: Operation) -> Loss {
        Loss::Nothing
    }
}
