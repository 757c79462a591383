// [busy-poll] all_pipes_to_their_ends
//
// Makes its set anew for every call, and puts in the pipe that has ended: it is ready every time.

pub mod extend {
    use std::io::{self, PipeReader, Read};
    use std::os::fd::AsRawFd;

    use super::super::super::super::reference::subject::{FdSet, select};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn gather(mut pipes: Vec<PipeReader>) -> io::Result<Vec<u8>> {
        let (mut bytes, mut ended) = (Vec::new(), vec![false; pipes.len()]);
        while ended.contains(&false) {
            let mut reads = FdSet::new();
            pipes.iter().try_for_each(|pipe| reads.insert(pipe.as_raw_fd()))?;
            select(&mut reads, &mut FdSet::new(), None)?;
            for (pipe, ended) in pipes.iter_mut().zip(&mut ended) {
                if reads.contains(pipe.as_raw_fd()) {
                    let mut buffer = [0; 64];
                    let length = pipe.read(&mut buffer)?;
                    bytes.extend(&buffer[..length]);
                    *ended = length == 0;
                }
            }
        }
        Ok(bytes)
    }
}
