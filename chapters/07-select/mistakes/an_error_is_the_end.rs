// [misread] what_fails_is_passed_on
//
// Takes a read that fails for the end of its pipe. What came before passes for all there was, and nobody hears
// that the rest is missing.

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
            pipes.retain_mut(|pipe| {
                if !reads.contains(pipe.as_raw_fd()) {
                    return true;
                }
                let mut buffer = [0; 64];
                let length = pipe.read(&mut buffer).unwrap_or(0);
                bytes.extend(&buffer[..length]);
                length > 0
            });
        }
        Ok(bytes)
    }
}
