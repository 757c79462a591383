// [busy-poll] rounds_up
//
// `milliseconds_in_short` as it was given. In the last millisecond before the deadline the timeout is 0,
// so every wait is over at once, and the thread asks the kernel over and over.

pub mod extend {
    use std::time::Duration;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn milliseconds(timeout: Option<Duration>) -> i32 {
        timeout.map_or(-1, |timeout| timeout.as_millis() as i32)
    }
}
