//! # The ground · every system call, announced
//!
//! The layers call the system where a chapter is about that call, and wrap the call in [`call`] or
//! [`restart`]. So it is written into the ledger, its errors become `io::Error`, and a test can
//! make it fail: see [`inject`]. What only the system knows, and more than one layer asks, stands
//! here too.

use std::cell::Cell;
use std::io;
#[cfg(unix)]
use std::io::{PipeReader, PipeWriter, Read, Write};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::ledger;
use crate::ledger::Event;

// ANCHOR: call
/// Makes the system call `name` and turns its -1 into the error that `errno` names.
///
/// # Errors
/// Whatever the call says; and what a test injects, in place of the call.
pub fn call<T: From<i8> + PartialEq>(
    name: &'static str,
    make: impl FnOnce() -> T,
) -> io::Result<T> {
    attempt(name, || {
        let result = make();
        if result == T::from(-1) { Err(io::Error::last_os_error()) } else { Ok(result) }
    })
}

/// As [`call`], for system calls that std makes for us.
///
/// # Errors
/// As [`call`].
pub fn attempt<T>(name: &'static str, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    ledger::record("kernel", Event::Call(name));
    match injected(name) {
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => make(),
    }
}

/// As [`call`], again and again while a signal interrupts it (`EINTR`): for calls that have done
/// nothing when they are interrupted, and whose arguments stay true. A wait with a timeout is not
/// one of them.
pub fn restart<T: From<i8> + PartialEq>(
    name: &'static str,
    mut make: impl FnMut() -> T,
) -> io::Result<T> {
    loop {
        match call(name, &mut make) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What came of a wait: nothing, if a signal ended it.
///
/// # Errors
/// All others.
pub fn unless_interrupted<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(T::default()),
        result => result,
    }
}
// ANCHOR_END: call

// ANCHOR: set_nonblocking
/// Makes calls on `io` return `WouldBlock` where they would wait. Other flags stay as they are.
///
/// # Errors
/// What fcntl(2) says.
#[cfg(unix)]
pub fn set_nonblocking(io: &impl AsFd) -> io::Result<()> {
    let fd = io.as_fd().as_raw_fd();
    let flags = call("fcntl", || {
        // SAFETY: `fd` is borrowed, and `F_GETFL` takes no argument.
        unsafe { libc::fcntl(fd, libc::F_GETFL) }
    })?;
    call("fcntl", || {
        // SAFETY: `fd` is borrowed, and `F_SETFL` takes flags.
        unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }
    })?;
    Ok(())
}
// ANCHOR_END: set_nonblocking

// ANCHOR: pipe
/// A pipe whose ends do not block: to end a wait by, if the reading end is waited for.
///
/// # Errors
/// When there are too many open files, most likely.
#[cfg(unix)]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = attempt("pipe", io::pipe)?;
    set_nonblocking(&reader)?;
    set_nonblocking(&writer)?;
    Ok((reader, writer))
}

/// Makes the other end of `pipe` readable.
#[cfg(unix)]
pub fn ring(mut pipe: &PipeWriter) {
    // A signal may come first. A full pipe is readable already.
    let mut write = || attempt("write", || pipe.write(&[1]));
    while write().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
}

/// Takes out what was rung into `pipe`; if something is left, that makes the next wait a short one.
#[cfg(unix)]
pub fn silence(mut pipe: &PipeReader) {
    let _ = attempt("read", || pipe.read(&mut [0; 64]));
}
// ANCHOR_END: pipe

// ANCHOR: millis
/// `timeout` as poll(2) takes it: in milliseconds, and -1 for ever. It is rounded up, or the last
/// millisecond before a deadline would be spent on asking over and over.
#[cfg(unix)]
pub fn millis(timeout: Option<Duration>) -> libc::c_int {
    let millis = timeout.map(|timeout| timeout.as_nanos().div_ceil(1_000_000));
    millis.map_or(-1, |millis| millis.try_into().unwrap_or(libc::c_int::MAX))
}
// ANCHOR_END: millis

// ANCHOR: cpu_time
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
// ANCHOR_END: cpu_time

// ANCHOR: inject
thread_local! {
    static FAULTS: Cell<Option<Faults>> = const { Cell::new(None) };
}

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Where the sequence of faults starts: the same seed, the same faults.
    pub seed: u64,
    /// One call in so many fails; 0 for none.
    pub one_in: u64,
    /// The calls that fail, with the error they fail with: `("read", libc::EAGAIN)`.
    pub errors: &'static [(&'static str, i32)],
    /// Whether reads and writes may be cut short, and reports of readiness made up.
    pub short: bool,
}

/// From now on, the system calls of this thread fail as `faults` says; `None` ends it.
pub fn inject(faults: Option<Faults>) {
    FAULTS.set(faults);
}

/// How much of a buffer of `length` bytes the next read or write is given: all of it, or less when
/// a test wants transfers to be short.
pub fn portion(length: usize) -> usize {
    match FAULTS.get() {
        Some(faults) if faults.short && length > 1 && strikes() => 1 + chance() as usize % length,
        _ => length,
    }
}

/// Whether a reactor is to report readiness that is not there: a kernel may (select(2), BUGS).
pub fn spurious() -> bool {
    FAULTS.get().is_some_and(|faults| faults.short) && strikes()
}

/// The error with which a test wants the call `name` to fail.
fn injected(name: &str) -> Option<i32> {
    let faults = FAULTS.get()?;
    let of_name = faults.errors.iter().filter(|(call, _)| *call == name).collect::<Vec<_>>();
    let strikes = !of_name.is_empty() && strikes();
    strikes.then(|| of_name[chance() as usize % of_name.len()].1)
}

/// Whether this call is the one in so many.
fn strikes() -> bool {
    FAULTS.get().is_some_and(|faults| faults.one_in > 0 && chance().is_multiple_of(faults.one_in))
}

/// The next number of the sequence (xorshift64, Marsaglia 2003).
fn chance() -> u64 {
    let Some(mut faults) = FAULTS.get() else { return 0 };
    faults.seed ^= faults.seed << 13;
    faults.seed ^= faults.seed >> 7;
    faults.seed ^= faults.seed << 17;
    FAULTS.set(Some(faults));
    faults.seed
}
// ANCHOR_END: inject
