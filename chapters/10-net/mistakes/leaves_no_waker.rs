// [never-woken] leaves_its_waker
//
// Says `Pending` when the call would wait, and tells nobody. The bytes come, and no reactor was asked
// to look out for them.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use under_await::ch08_poll::Direction;
use under_await::sys;

pub struct Async<T>(T);

impl<T: AsFd> Async<T> {
    pub fn new(io: T) -> io::Result<Self> {
        sys::set_nonblocking(&io)?;
        Ok(Async(io))
    }

    pub fn poll_io<R>(
        &self,
        _: Direction,
        _: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        match attempt(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}
