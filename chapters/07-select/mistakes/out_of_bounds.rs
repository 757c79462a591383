// [crashed] no_bit_is_an_error
//
// Sets the bit and asks nothing. In C that writes past the end of the set, into whatever stands
// there. The crate libc stops the process before it comes to that.

use std::io;
use std::ptr;
use std::time::Duration;

pub struct FdSet(libc::fd_set);

impl FdSet {
    pub fn new() -> Self {
        // SAFETY: a set without bits is all zeroes.
        FdSet(unsafe { std::mem::zeroed() })
    }

    pub fn insert(&mut self, fd: i32) -> io::Result<()> {
        // SAFETY: nobody has made sure.
        unsafe { libc::FD_SET(fd, &mut self.0) };
        Ok(())
    }

    pub fn contains(&self, fd: i32) -> bool {
        // SAFETY: as above.
        unsafe { libc::FD_ISSET(fd, &self.0) }
    }
}

pub fn select(reads: &mut FdSet, writes: &mut FdSet, _: Option<Duration>) -> io::Result<usize> {
    // SAFETY: both sets are ours.
    let ready =
        unsafe { libc::select(1024, &mut reads.0, &mut writes.0, ptr::null_mut(), ptr::null_mut()) };
    Ok(ready as usize)
}
