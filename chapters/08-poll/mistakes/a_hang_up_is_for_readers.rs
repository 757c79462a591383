// [never-woken] errors_concern_both
//
// Takes a hang-up for the reader's news, and an error for the writer's. On a pipe that is so, because
// each of its ends has one direction. A socket has both, and the future that waits in the other one
// waits on.

use std::io;
use std::time::Duration;

use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, c_short, pollfd};
use under_await::ch08_poll;

struct OneSide(Box<dyn Backend>);

fn one_side(revents: c_short) -> c_short {
    let reader = if revents & (POLLIN | POLLHUP | POLLNVAL) != 0 { POLLIN } else { 0 };
    let writer = if revents & (POLLOUT | POLLERR | POLLNVAL) != 0 { POLLOUT } else { 0 };
    reader | writer
}

impl Backend for OneSide {
    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        let rows = self.0.wait(table, timeout)?;
        rows.iter().for_each(|row| table[*row].revents = one_side(table[*row].revents));
        Ok(rows)
    }
}

pub fn ask_by(backend: Box<dyn Backend>) -> io::Result<Box<dyn Backend>> {
    ch08_poll::ask_by(Box::new(OneSide(backend)))
}
