// [wrong-result] the_kernel_leaves_the_ready_ones
//
// Tells the kernel to look as far as the descriptor that was put in last. One with a higher number, put
// in before it, is in the set, and nobody looks at it.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use under_await::ch07_select as layer;

#[derive(Clone, Copy)]
pub struct FdSet(layer::FdSet, RawFd);

impl FdSet {
    pub fn new() -> Self {
        FdSet(layer::FdSet::new(), 0)
    }

    pub fn insert(&mut self, fd: RawFd) -> io::Result<()> {
        self.1 = fd + 1;
        self.0.insert(fd)
    }

    pub fn contains(&self, fd: RawFd) -> bool {
        self.0.contains(fd)
    }
}

pub fn select(
    reads: &mut FdSet,
    writes: &mut FdSet,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    // What stands at the count and above it is not asked about.
    let mut asked = layer::FdSet::new();
    let fds = (0..reads.1).filter(|fd| reads.contains(*fd));
    fds.for_each(|fd| asked.insert(fd).unwrap());
    reads.0 = asked;
    layer::select(&mut reads.0, &mut writes.0, timeout)
}
