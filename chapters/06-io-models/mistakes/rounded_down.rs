// [too-early] rounded_up
//
// `as_millis` rounds down: the last part of a millisecond is a wait of 0, and the loop around it
// goes round until it is over. `as` turns a wait of 25 days into one without an end.

pub mod extend {
    use std::time::Duration;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn timeout(duration: Option<Duration>) -> libc::c_int {
        duration.map_or(-1, |duration| duration.as_millis() as libc::c_int)
    }
}
