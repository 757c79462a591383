// [wrong-result] other_errors_are_passed_on
//
// Takes every error for a signal that came first, or for nothing to read. Whoever waits for a
// descriptor that is closed is told for ever that there is nothing yet.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use super::super::super::super::reference::subject::{FdSet, select};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn readable_within(io: &impl AsFd, limit: Duration) -> io::Result<bool> {
        let mut reads = FdSet::new();
        reads.insert(io.as_fd().as_raw_fd())?;
        Ok(select(&mut reads, &mut FdSet::new(), Some(limit)).is_ok_and(|ready| ready > 0))
    }
}
