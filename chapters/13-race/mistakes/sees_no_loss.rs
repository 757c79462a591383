// [wrong-result] the_table_is_what_happens
//
// Takes every future for cancel safe, unless the future says otherwise.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub fn loss(_: Operation) -> Loss {
        Loss::Nothing
    }
}
