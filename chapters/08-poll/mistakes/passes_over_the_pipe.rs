// [busy-poll] a_wake_ends_one_sleep
//
// Passes over row 0, since nobody waits there. The byte that ended a sleep stays in the pipe, and from
// then on every sleep is over at once.

use std::io;
use std::time::Duration;

use libc::pollfd;
use under_await::ch08_poll;

struct WithoutThePipe(Box<dyn Backend>);

impl Backend for WithoutThePipe {
    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        let mut rows = self.0.wait(table, timeout)?;
        rows.retain(|row| *row != 0);
        Ok(rows)
    }
}

pub fn ask_by(backend: Box<dyn Backend>) -> io::Result<Box<dyn Backend>> {
    ch08_poll::ask_by(Box::new(WithoutThePipe(backend)))
}
