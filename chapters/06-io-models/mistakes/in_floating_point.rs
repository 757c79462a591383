// [too-early] never_too_short
//
// Computes in `f64`, which has room for sixteen digits or so. Of a long wait the last ones are cut off, and
// then there is nothing to round up.

pub mod extend {
    use std::time::Duration;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn timeout(duration: Duration) -> libc::timeval {
        let micros = (duration.min(LONGEST).as_secs_f64() * 1e6).ceil() as i64;
        libc::timeval {
            tv_sec: (micros / 1_000_000) as libc::time_t,
            tv_usec: (micros % 1_000_000) as libc::suseconds_t,
        }
    }
}
