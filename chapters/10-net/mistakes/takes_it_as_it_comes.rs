// [waits-for-one] a_silent_client_holds_up_nobody
//
// Takes a connection as accept(2) gave it. On Linux it does not inherit the listener's `O_NONBLOCK`. A read
// that should say `WouldBlock` sleeps instead, and with it every future of the thread.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use under_await::ch08_poll::{Direction, Registration};

pub struct Async<T> {
    registration: Registration,
    io: T,
}

impl<T: AsFd> Async<T> {
    pub fn new(io: T) -> io::Result<Self> {
        Ok(Async { registration: Registration::new(&io)?, io })
    }

    pub fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match attempt(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.wait_for(direction, cx)?;
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}
