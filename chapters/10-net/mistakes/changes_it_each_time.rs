// [extra-call] tries_first
//
// Makes the descriptor non-blocking for each attempt, and blocking again after it. That is four more
// system calls. And the flag is the open file's, so every copy of the descriptor is changed with it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll};

use under_await::ch08_poll::{Direction, Registration};
use under_await::sys;

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
        sys::set_nonblocking(&self.io)?;
        let result = attempt(&self.io);
        set_blocking(&self.io)?;
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.registration.wait_for(direction, cx)?;
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

fn set_blocking(io: &impl AsFd) -> io::Result<()> {
    let fd = io.as_fd().as_raw_fd();
    // SAFETY: `fd` is borrowed, and `F_GETFL` takes no argument.
    let flags = sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: as above, and `F_SETFL` takes flags.
    sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) })?;
    Ok(())
}
