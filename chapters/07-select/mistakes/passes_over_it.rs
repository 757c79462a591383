// [wrong-result] no_bit_is_an_error
//
// Leaves out what has no bit and says nothing. Whoever waits for it sleeps for ever, from the
// 1,024th descriptor on: in no test, and one day in production.

use std::io;
use std::time::Duration;

use super::super::super::reference::subject as reference;

pub struct FdSet(reference::FdSet);

impl FdSet {
    pub fn new() -> Self {
        FdSet(reference::FdSet::new())
    }

    pub fn insert(&mut self, fd: i32) -> io::Result<()> {
        if (0..1024).contains(&fd) { self.0.insert(fd) } else { Ok(()) }
    }

    pub fn contains(&self, fd: i32) -> bool {
        self.0.contains(fd)
    }
}

pub fn select(a: &mut FdSet, b: &mut FdSet, timeout: Option<Duration>) -> io::Result<usize> {
    reference::select(&mut a.0, &mut b.0, timeout)
}
