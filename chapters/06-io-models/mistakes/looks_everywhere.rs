// [spins] the_others_are_left_alone
//
// Looks at all pipes at every signal, although the signal names one. It loses nothing, but gives
// away what the name was good for.

pub mod extend {
    use std::io::{self, PipeReader};
    use std::os::fd::RawFd;

    pub use super::super::super::super::reference::subject::extend::*;
    use super::super::super::super::reference::subject::{Answer, ask};

    pub fn on_signal(
        _said: Option<RawFd>,
        pipes: &[PipeReader],
        arrivals: &mut Vec<u8>,
    ) -> io::Result<()> {
        for pipe in pipes {
            while ask(pipe, arrivals)? == Answer::Bytes {}
        }
        Ok(())
    }
}
