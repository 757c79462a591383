// [extra-call] tries_first
//
// Leaves the waker first, so that nothing can be missed between the try and the wait. Nothing can anyway: the
// reactor reports what came before. But every read that need not wait pays for a wait.

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
        let waiting = self.registration.wait_for(direction, cx);
        loop {
            match attempt(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    waiting?;
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}
