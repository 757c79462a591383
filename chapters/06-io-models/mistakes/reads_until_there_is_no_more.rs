// [waits-for-one] none_is_held_up
//
// Reads from a pipe that is ready until there is no more. Whoever writes into it faster than it is
// read has this thread to itself.

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
            let mut answer = Answer::Bytes;
            while answer == Answer::Bytes {
                answer = ask(pipe, &mut arrivals)?;
            }
            if answer == Answer::End {
                row.fd = -1;
            }
        }
    }
    Ok(arrivals)
}
