// [wrong-result] a_look_without_time
//
// Looks for as long as there is time. With a limit of 0 there is none from the start, and a byte that is there is
// not seen; nor is it after a signal, if that came in the last moment.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::{Duration, Instant};

    use super::super::super::super::reference::subject::{FdSet, select};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn readable_within(io: &impl AsFd, limit: Duration) -> io::Result<bool> {
        let start = Instant::now();
        while start.elapsed() < limit {
            let left = limit.saturating_sub(start.elapsed());
            let mut reads = FdSet::new();
            reads.insert(io.as_fd().as_raw_fd())?;
            match select(&mut reads, &mut FdSet::new(), Some(left)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|ready| ready > 0),
            }
        }
        Ok(false)
    }
}
