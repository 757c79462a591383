// [panicked] no_bit_is_an_error
//
// Leaves the limit to `FD_SET`. In C that is a macro without one: it sets a bit behind the set, in whatever
// is there. In the `libc` crate it panics, and as it is an `extern "C"` function, the process is aborted.

use std::io;
use std::mem;
use std::ptr;
use std::time::Duration;

pub struct FdSet(libc::fd_set);

impl FdSet {
    pub fn new() -> Self {
        // SAFETY: a set without bits is all zeroes.
        FdSet(unsafe { mem::zeroed() })
    }

    pub fn insert(&mut self, fd: i32) -> io::Result<()> {
        // SAFETY: none: there may be no bit for it.
        unsafe { libc::FD_SET(fd, &mut self.0) };
        Ok(())
    }

    pub fn contains(&self, fd: i32) -> bool {
        // SAFETY: none, as above.
        unsafe { libc::FD_ISSET(fd, &self.0) }
    }
}

pub fn select(reads: &mut FdSet, writes: &mut FdSet, _: Option<Duration>) -> io::Result<usize> {
    let mut timeout = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let (count, none) = (libc::FD_SETSIZE as i32, ptr::null_mut());
    // SAFETY: the sets and the timeout are ours.
    let ready = unsafe { libc::select(count, &mut reads.0, &mut writes.0, none, &mut timeout) };
    Ok(ready as usize)
}
