// [spins] one_wait_and_one_read
//
// Asks every pipe after every wait, and does not look at what `poll` has marked. With two pipes
// nobody minds; with a thousand, each byte costs a thousand reads.

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
        for (pipe, row) in pipes.iter().zip(&mut table).filter(|(_, row)| row.fd >= 0) {
            if ask(pipe, &mut arrivals)? == Answer::End {
                row.fd = -1;
            }
        }
    }
    Ok(arrivals)
}
