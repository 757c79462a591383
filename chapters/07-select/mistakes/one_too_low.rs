// [wrong-result] the_kernel_leaves_the_ready_ones
//
// Gives `select` the highest descriptor instead of one more: the kernel does not look at the last.

use std::io;
use std::ptr;
use std::time::Duration;

pub struct FdSet {
    bits: libc::fd_set,
    count: i32,
}

impl FdSet {
    pub fn new() -> Self {
        // SAFETY: a set without bits is all zeroes.
        FdSet { bits: unsafe { std::mem::zeroed() }, count: 0 }
    }

    pub fn insert(&mut self, fd: i32) -> io::Result<()> {
        assert!((0..1024).contains(&fd));
        // SAFETY: there is a bit for it.
        unsafe { libc::FD_SET(fd, &mut self.bits) };
        self.count = self.count.max(fd);
        Ok(())
    }

    pub fn contains(&self, fd: i32) -> bool {
        // SAFETY: `fd` has been in the set, so there is a bit for it.
        unsafe { libc::FD_ISSET(fd, &self.bits) }
    }
}

pub fn select(reads: &mut FdSet, writes: &mut FdSet, _: Option<Duration>) -> io::Result<usize> {
    let mut timeout = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let (count, none) = (reads.count.max(writes.count), ptr::null_mut());
    // SAFETY: the sets and the timeout are ours.
    let ready =
        unsafe { libc::select(count, &mut reads.bits, &mut writes.bits, none, &mut timeout) };
    Ok(ready as usize)
}
