// [not-on-time] more_than_a_c_int
//
// Rounds up, as it should, and then cuts off what does not fit. 25 days, in milliseconds, are more than
// a `c_int` holds: what is left is negative, and that is a wait without an end.

pub mod extend {
    use std::time::Duration;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn timeout(duration: Option<Duration>) -> libc::c_int {
        duration.map_or(-1, |duration| duration.as_nanos().div_ceil(1_000_000) as libc::c_int)
    }
}
