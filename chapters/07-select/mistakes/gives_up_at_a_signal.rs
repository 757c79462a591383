// [wrong-result] a_limit_and_signals
//
// Passes on whatever `select` says: a signal for somebody else is then an error of this pipe.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use super::super::super::super::reference::subject::{FdSet, select};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn readable_within(io: &impl AsFd, limit: Duration) -> io::Result<bool> {
        let mut reads = FdSet::new();
        reads.insert(io.as_fd().as_raw_fd())?;
        Ok(select(&mut reads, &mut FdSet::new(), Some(limit))? > 0)
    }
}
