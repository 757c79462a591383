// [misread] an_error_of_a_pipe_is_passed_on
//
// Reads for as long as there are bytes, and takes whatever else comes for "no more". A pipe that cannot be
// read any more is silent from then on, and nobody hears why.

pub mod extend {
    use std::io::{self, PipeReader};
    use std::os::fd::{AsRawFd, RawFd};

    pub use super::super::super::super::reference::subject::extend::*;
    use super::super::super::super::reference::subject::{Answer, ask};

    pub fn on_signal(
        said: Option<RawFd>,
        pipes: &[PipeReader],
        arrivals: &mut Vec<u8>,
    ) -> io::Result<()> {
        for pipe in pipes.iter().filter(|pipe| said.is_none_or(|fd| fd == pipe.as_raw_fd())) {
            while let Ok(Answer::Bytes) = ask(pipe, arrivals) {}
        }
        Ok(())
    }
}
