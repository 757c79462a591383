// [piles-up] one_row_however_often_it_is_polled
//
// Takes a new row for each poll. The table grows with every poll, and each of its rows is looked at in every
// sleep, until the registration is dropped.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::Context;

use under_await::ch08_poll;

pub struct Registration {
    fd: RawFd,
    rows: RefCell<Vec<ch08_poll::Registration>>,
}

impl Registration {
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        Ok(Registration { fd: io.as_fd().as_raw_fd(), rows: RefCell::default() })
    }

    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<bool> {
        // SAFETY: a registration is dropped before its descriptor is closed.
        let io = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let row = ch08_poll::Registration::new(&io)?;
        row.wait_for(direction, cx)?;
        self.rows.borrow_mut().push(row);
        Ok(false)
    }
}
