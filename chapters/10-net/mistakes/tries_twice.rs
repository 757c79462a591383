// [extra-call] believes_no_wake
//
// Tries once more after it has left the waker, for what may have come in between. The reactor would have
// reported that. So every wait begins with two calls in vain.

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
        direction: Direction,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        for waiting in [false, true] {
            if waiting {
                self.registration.wait_for(direction, cx)?;
            }
            loop {
                match attempt(&self.io) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return Poll::Ready(result),
                }
            }
        }
        Poll::Pending
    }
}
