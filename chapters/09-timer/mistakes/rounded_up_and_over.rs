// [wrong-result] very_long_timeouts
//
// Rounded up, and cut to size without a look: 2^31 ms, not quite 25 days, becomes a negative number,
// which `poll` takes for "for ever", and 2^32 ms becomes 0.

pub mod extend {
    use std::time::Duration;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn milliseconds(timeout: Option<Duration>) -> i32 {
        timeout.map_or(-1, |timeout| timeout.as_nanos().div_ceil(1_000_000) as i32)
    }
}
