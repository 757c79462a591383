// [waits-for-one] no_pipe_is_held_up
//
// Reads from the first pipe that is ready, and asks again. As long as that one has something, the
// others are not read, although the answer named them too.

pub mod extend {
    use std::io::{self, PipeReader, Read};
    use std::os::fd::AsRawFd;

    use super::super::super::super::reference::subject::{FdSet, select};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn gather(mut pipes: Vec<PipeReader>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while !pipes.is_empty() {
            let mut reads = FdSet::new();
            pipes.iter().try_for_each(|pipe| reads.insert(pipe.as_raw_fd()))?;
            match select(&mut reads, &mut FdSet::new(), None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            let first = pipes.iter().position(|pipe| reads.contains(pipe.as_raw_fd()));
            let (first, mut buffer) = (first.expect("one is ready"), [0; 64]);
            let length = pipes[first].read(&mut buffer)?;
            bytes.extend(&buffer[..length]);
            if length == 0 {
                pipes.remove(first);
            }
        }
        Ok(bytes)
    }
}
