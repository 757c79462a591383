// [data-lost] an_end_is_of_one_pipe
//
// Returns when a pipe has ended. The bare `SIGIO` stood for all of them, and those behind it in the list are not
// asked.

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
            loop {
                match ask(pipe, arrivals)? {
                    Answer::Bytes => {}
                    Answer::NothingYet => break,
                    Answer::End => return Ok(()),
                }
            }
        }
        Ok(())
    }
}
