// [old-waker] the_newest_waker_wins
//
// Is waiting already, and so does nothing. But the future may have been moved since then, and the waker
// that stands there belongs to the task it came from.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::task::Context;

use under_await::ch08_poll;

pub struct Registration {
    row: ch08_poll::Registration,
    waiting: [Cell<bool>; 2],
}

impl Registration {
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        Ok(Registration { row: ch08_poll::Registration::new(io)?, waiting: Default::default() })
    }

    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.waiting[direction as usize].replace(true) {
            return Ok(true);
        }
        self.row.wait_for(direction, cx)
    }
}
