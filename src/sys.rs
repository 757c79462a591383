//! # The ground · what only the operating system knows
//!
//! The layers call the system where a chapter is about that call. What they need besides, and in
//! more than one place, stands here.

use std::time::Duration;

/// The CPU time that all threads of this process have used so far, or `None` where the system does
/// not say (Windows, Miri). Waiting asleep costs none of it; waiting in a loop costs all of it.
///
/// Source: `clock_gettime` with `CLOCK_PROCESS_CPUTIME_ID`, POSIX.1-2008, option CPT.
#[cfg(all(unix, not(miri)))]
pub fn cpu_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a `timespec` of ours, borrowed mutably for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    (result == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// The CPU time that all threads of this process have used so far: not known on this system.
#[cfg(any(not(unix), miri))]
pub fn cpu_time() -> Option<Duration> {
    None
}
