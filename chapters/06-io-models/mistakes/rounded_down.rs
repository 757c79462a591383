// [too-early] never_too_short
//
// `subsec_micros` rounds down: the last part of a microsecond is a wait of 0, and the loop around it goes
// round until it is over.

pub mod extend {
    use std::time::Duration;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn timeout(duration: Duration) -> libc::timeval {
        let duration = duration.min(LONGEST);
        libc::timeval {
            tv_sec: duration.as_secs() as libc::time_t,
            tv_usec: duration.subsec_micros() as libc::suseconds_t,
        }
    }
}
