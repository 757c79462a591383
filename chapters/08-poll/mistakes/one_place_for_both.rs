// [never-woken] two_wakers_for_one_descriptor
//
// A descriptor has one place for one waker: a future that comes to write pushes out the one that waits
// to read. A proxy, which reads and writes each of its sockets, stands still as soon as it does both at
// once.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::Context;

use under_await::ch08_poll;

pub struct Registration {
    io: OwnedFd,
    row: RefCell<ch08_poll::Registration>,
}

impl Registration {
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        let row = RefCell::new(ch08_poll::Registration::new(io)?);
        Ok(Registration { io: io.as_fd().try_clone_to_owned()?, row })
    }

    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<bool> {
        // What the row was waited for before is forgotten.
        let row = ch08_poll::Registration::new(&self.io)?;
        row.wait_for(direction, cx)?;
        self.row.replace(row);
        Ok(true)
    }
}
