// [waits-for-one] a_signal_is_no_answer
//
// Goes on after a signal as if the sets were an answer. They are still the question, which says of every
// pipe that it is to be read; and a read of one that is silent sleeps.

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
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => drop(result?),
            }
            for mut pipe in std::mem::take(&mut pipes) {
                let (ready, mut buffer) = (reads.contains(pipe.as_raw_fd()), [0; 64]);
                let length = if ready { pipe.read(&mut buffer)? } else { 0 };
                bytes.extend(&buffer[..length]);
                if !ready || length > 0 {
                    pipes.push(pipe);
                }
            }
        }
        Ok(bytes)
    }
}
