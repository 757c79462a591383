// [never-woken] a_hang_up_wakes_both
//
// Looks for the events that it has asked for. A hang-up and an error are reported unasked, often alone;
// so a future that waits for the end of a pipe waits on, and every sleep is over at once.

use std::io;
use std::time::Duration;

use under_await::ch08_poll;
pub use under_await::ch08_poll::Backend;

pub struct ByPoll;

impl Backend for ByPoll {
    fn wait(
        &mut self,
        table: &mut [libc::pollfd],
        timeout: Option<Duration>,
    ) -> io::Result<Vec<usize>> {
        let mut rows = ch08_poll::ByPoll.wait(table, timeout)?;
        rows.retain(|row| {
            table[*row].revents &= table[*row].events;
            table[*row].revents != 0
        });
        Ok(rows)
    }
}
