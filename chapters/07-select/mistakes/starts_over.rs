// [not-on-time] signals_do_not_stretch_it
//
// After a signal it waits again, for the whole limit. With a signal now and then, the limit never comes.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use super::super::super::super::reference::subject::{FdSet, select};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn readable_within(io: &impl AsFd, limit: Duration) -> io::Result<bool> {
        loop {
            let mut reads = FdSet::new();
            reads.insert(io.as_fd().as_raw_fd())?;
            match select(&mut reads, &mut FdSet::new(), Some(limit)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|ready| ready > 0),
            }
        }
    }
}
