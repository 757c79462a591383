// [spins] a_signal_marks_nothing
//
// After a signal it goes on as after any other wait, and looks at the marks. They are those of the wait before:
// whoever was asked then is asked once more, for nothing.

use std::io::{self, PipeReader};

pub use under_await::ch06_io_models::*;

pub fn multiplexed(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut arrivals = Vec::new();
    let mut table = rows(pipes)?;
    while table.iter().any(|row| row.fd >= 0) {
        match wait(&mut table) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        for (pipe, row) in pipes.iter().zip(&mut table).filter(|(_, row)| row.revents != 0) {
            if ask(pipe, &mut arrivals)? == Answer::End {
                row.fd = -1;
            }
        }
    }
    Ok(arrivals)
}
