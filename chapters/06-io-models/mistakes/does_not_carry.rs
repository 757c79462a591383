// [wrong-result] a_million_is_a_second
//
// Rounds each of the two numbers by itself. The last nanoseconds of a second become 1,000,000 microseconds.
// Linux bears with them; elsewhere one call in a million fails with `EINVAL`, "Invalid argument".

pub mod extend {
    use std::time::Duration;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn timeout(duration: Duration) -> libc::timeval {
        let duration = duration.min(LONGEST);
        libc::timeval {
            tv_sec: duration.as_secs() as libc::time_t,
            tv_usec: duration.subsec_nanos().div_ceil(1000) as libc::suseconds_t,
        }
    }
}
