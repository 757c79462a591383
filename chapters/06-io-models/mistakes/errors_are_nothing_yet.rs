// [misread] an_error_ends_the_loop
//
// Takes every error of a read for "nothing yet". A pipe that cannot be read is reported as ready again and
// again: the loop goes round as fast as it can, and nobody hears why.

use std::io::{self, PipeReader};

pub use under_await::ch06_io_models::*;

pub fn multiplexed(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut arrivals = Vec::new();
    let mut table = rows(pipes)?;
    while table.iter().any(|row| row.fd >= 0) {
        match wait(&mut table) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for (pipe, row) in pipes.iter().zip(&mut table).filter(|(_, row)| row.revents != 0) {
            if ask(pipe, &mut arrivals).unwrap_or(Answer::NothingYet) == Answer::End {
                row.fd = -1;
            }
        }
    }
    Ok(arrivals)
}
