// [misread] interrupted_by_a_signal
//
// Takes EINTR for an error. A signal that the program handles, a terminal that changes its size or
// a child that ends, and the whole loop is over.

use std::io::{self, PipeReader};

pub use under_await::ch06_io_models::*;

pub fn multiplexed(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut arrivals = Vec::new();
    let mut table = rows(pipes)?;
    while table.iter().any(|row| row.fd >= 0) {
        wait(&mut table)?;
        for (pipe, row) in pipes.iter().zip(&mut table).filter(|(_, row)| row.revents != 0) {
            if ask(pipe, &mut arrivals)? == Answer::End {
                row.fd = -1;
            }
        }
    }
    Ok(arrivals)
}
