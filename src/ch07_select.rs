//! # Layer 7 · a reactor on `select(2)`
//!
//! **Before.** `ch04_park` sleeps where only a thread can wake it. `ch06_io_models` has shown how
//! to sleep in the kernel until one of many descriptors is ready, but every wait was written by
//! hand for its own descriptors.
//!
//! **Idea.** The park *is* the system call. Futures leave a descriptor and a waker; `block_on`
//! sleeps in `select` on all of them at once, and wakes whoever waited for those that are ready.
//!
//! **Invariants.**
//! 1. *Interest while somebody waits:* a descriptor that fired is not asked for again until
//!    somebody waits for it again; else one unread byte would turn every sleep into a loop.
//! 2. *The newest:* of all the wakers left for a descriptor, the last one is woken.
//! 3. *Out of range is an error:* a descriptor that the bit set has no bit for is refused.
//! 4. *Released, then woken:* no borrow of the reactor is alive while a waker runs.
//!
//! **Still wrong.** 1,024 descriptors, and no more. And a reader and a second reader of the same
//! descriptor push each other out. The next layer, `ch08_poll`, has a table in place of the set.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use crate::sys;

// ANCHOR: select
/// Sleeps until a descriptor in `reads` or `writes` is ready, a signal comes, or `timeout` has
/// passed; `None` is for ever. Leaves the ready ones in the sets.
///
/// # Errors
/// `Interrupted` when a signal came (the sets are then to be made anew), and what select(2) says.
pub fn select(
    reads: &mut FdSet,
    writes: &mut FdSet,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let count = reads.count.max(writes.count);
    let mut timeout = timeout.map(timeval);
    let timeout = timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let ready = sys::call("select", || {
        // SAFETY: the sets and the timeout are ours alone until `select` returns, and no set has a
        // bit at `count` or above.
        unsafe { libc::select(count, &mut reads.bits, &mut writes.bits, ptr::null_mut(), timeout) }
    })?;
    Ok(ready as usize)
}

/// `duration` as select(2) takes it: rounded up, and no more than some kernels accept.
fn timeval(duration: Duration) -> libc::timeval {
    let micros = duration.min(Duration::from_secs(100_000_000)).as_nanos().div_ceil(1000);
    libc::timeval {
        tv_sec: (micros / 1_000_000) as libc::time_t,
        tv_usec: (micros % 1_000_000) as libc::suseconds_t,
    }
}
// ANCHOR_END: select

// ANCHOR: FdSet
/// A set of descriptors: one bit for each number below `FD_SETSIZE`.
#[derive(Clone, Copy)]
pub struct FdSet {
    bits: libc::fd_set,
    /// One more than the highest descriptor that was ever in it.
    count: RawFd,
}

impl FdSet {
    /// The empty set.
    #[expect(clippy::new_without_default, reason = "`new` is the name in this field")]
    pub fn new() -> Self {
        let mut bits = MaybeUninit::uninit();
        // SAFETY: `bits` has room for an `fd_set`.
        unsafe { libc::FD_ZERO(bits.as_mut_ptr()) };
        // SAFETY: `FD_ZERO` has written all of it.
        FdSet { bits: unsafe { bits.assume_init() }, count: 0 }
    }

    /// Puts `fd` in.
    ///
    /// # Errors
    /// `InvalidInput` if there is no bit for it. C's `FD_SET` writes past the end then.
    pub fn insert(&mut self, fd: RawFd) -> io::Result<()> {
        check(fd)?;
        // SAFETY: `fd` is at least 0 and less than `FD_SETSIZE`: just checked.
        unsafe { libc::FD_SET(fd, &mut self.bits) };
        self.count = self.count.max(fd + 1);
        Ok(())
    }

    /// Whether `fd` is in.
    pub fn contains(&self, fd: RawFd) -> bool {
        // SAFETY: `fd` is less than `count`, and so has a bit.
        (0..self.count).contains(&fd) && unsafe { libc::FD_ISSET(fd, &self.bits) }
    }
}

/// Whether a set has a bit for `fd`.
fn check(fd: RawFd) -> io::Result<()> {
    if (0..libc::FD_SETSIZE as RawFd).contains(&fd) {
        return Ok(());
    }
    let limit = libc::FD_SETSIZE;
    let text = format!("select(2) has no bit for descriptor {fd}: FD_SETSIZE is {limit}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}
// ANCHOR_END: FdSet
