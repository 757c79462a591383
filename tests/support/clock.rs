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

/// How often this thread has given up the processor to wait for something.
#[cfg(target_os = "linux")]
pub fn sleeps() -> i64 {
    // SAFETY: all zeroes is a `rusage`.
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    // SAFETY: `usage` is ours to be written.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_nvcsw
}
