// [never-woken] waits_in_its_direction
//
// Waits for something to read, even in order to write. A writer whose peer is slow to read, and has
// nothing to say itself, waits for ever.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use under_await::ch08_poll::Direction;
use under_await::ch10_net;

pub struct Async<T>(ch10_net::Async<T>);

impl<T: AsFd> Async<T> {
    pub fn new(io: T) -> io::Result<Self> {
        Ok(Async(ch10_net::Async::new(io)?))
    }

    pub fn poll_io<R>(
        &self,
        _: Direction,
        cx: &mut Context<'_>,
        attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.0.poll_io(Direction::Read, cx, attempt)
    }
}
