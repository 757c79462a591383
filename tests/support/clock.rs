//! How busy a thread is.

use std::time::Duration;

/// The CPU time that this thread has used so far, or `None` where the system does not say. The clock
/// of `under_await::sys` counts the other threads too.
///
/// Source: `clock_gettime` with `CLOCK_THREAD_CPUTIME_ID`, POSIX.1-2008, option TCT.
#[cfg(all(unix, not(miri)))]
pub fn thread_cpu_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a `timespec` of ours, borrowed mutably for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    (result == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// The CPU time that this thread has used so far: not known on this system.
#[cfg(any(not(unix), miri))]
pub fn thread_cpu_time() -> Option<Duration> {
    None
}
