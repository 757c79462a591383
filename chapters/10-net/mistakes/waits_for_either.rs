// [spins] waits_in_no_other_direction
//
// Waits for both directions, to be on the safe side. A socket nearly always has room to write: a wait to read is
// over at once, the attempt is in vain, and so it goes on.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use under_await::ch08_poll::{Direction, Registration};
use under_await::sys;

pub struct Async<T> {
    registration: Registration,
    io: T,
}

impl<T: AsFd> Async<T> {
    pub fn new(io: T) -> io::Result<Self> {
        sys::set_nonblocking(&io)?;
        Ok(Async { registration: Registration::new(&io)?, io })
    }

    pub fn poll_io<R>(
        &self,
        _: Direction,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match attempt(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.wait_for(Direction::Read, cx)?;
                    self.registration.wait_for(Direction::Write, cx)?;
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}
