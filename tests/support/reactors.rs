//! Both backends of the reactor, one after the other; and one that lies.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use libc::{c_short, pollfd};

use under_await::ch08_poll::{Backend, ByPoll, BySelect, ask_by};

use super::within;

/// Runs `f` twice, each time on a new thread and `within` the limit: once on a reactor that asks the
/// kernel by poll(2), once on one that asks by select(2). `f` is told the name of the call.
pub fn on_both(limit: Duration, f: fn(&'static str)) {
    for name in ["poll", "select"] {
        within(limit, move || {
            ask_by(by(name)).expect("the pipe can be watched");
            f(name);
        });
    }
}

/// The backend that makes the call of that name.
pub fn by(name: &str) -> Box<dyn Backend> {
    if name == "select" { Box::new(BySelect) } else { Box::new(ByPoll) }
}

/// Says of every row that is watched that it is ready, one time in four: what a kernel may do
/// (select(2), BUGS), and more often.
#[allow(missing_debug_implementations)]
pub struct Liar {
    /// Who is asked the other times.
    inner: Box<dyn Backend>,
    /// The next number of the sequence.
    chance: u32,
}

impl Liar {
    /// The same `seed`, the same lies.
    #[allow(clippy::new_ret_no_self)] // What is to be had of it is a backend.
    pub fn new(inner: Box<dyn Backend>, seed: u32) -> Box<dyn Backend> {
        Box::new(Liar { inner, chance: seed })
    }
}

impl Backend for Liar {
    fn changed(&mut self, row: usize, fd: RawFd, events: c_short) -> io::Result<()> {
        self.inner.changed(row, fd, events)
    }

    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if self.chance >> 30 > 0 {
            return self.inner.wait(table, timeout);
        }
        table.iter_mut().for_each(|row| row.revents = row.events);
        Ok((0..table.len()).filter(|row| table[*row].fd != -1).collect())
    }
}
