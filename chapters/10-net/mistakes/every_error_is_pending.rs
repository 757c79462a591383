// [wrong-result] an_error_is_an_answer
//
// Takes every error for "not yet", and so nobody hears of it. In a program it spins as well: a
// connection that was reset is ready for ever, so the task is woken, tries, fails and waits again.

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
        if let Ok(result) = attempt(&self.io) {
            return Poll::Ready(Ok(result));
        }
        self.registration.wait_for(direction, cx)?;
        Poll::Pending
    }
}
