// [stray-wake] a_number_given_away_again_wakes_nobody_who_had_it
//
// Has no `Drop`. The row stays, and with it the number and the waker. When the kernel gives the number
// to another socket, the row watches that one, and wakes a future that is long gone.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::task::Context;

use under_await::ch08_poll;

pub struct Registration {
    row: ManuallyDrop<ch08_poll::Registration>,
}

impl Registration {
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        Ok(Registration { row: ManuallyDrop::new(ch08_poll::Registration::new(io)?) })
    }

    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<bool> {
        self.row.wait_for(direction, cx)
    }
}
