// [spins] an_end_is_taken_out
//
// Leaves a pipe in the table when it has ended. An end stays: poll(2) reports it at every call, and
// the loop goes round as fast as it can until the other pipes have ended too.

use std::io::{self, PipeReader};

pub use under_await::ch06_io_models::*;

pub fn multiplexed(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let (mut arrivals, mut ended) = (Vec::new(), vec![false; pipes.len()]);
    let mut table = rows(pipes)?;
    while ended.contains(&false) {
        match wait(&mut table) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for ((pipe, row), ended) in pipes.iter().zip(&table).zip(&mut ended) {
            if row.revents != 0 && ask(pipe, &mut arrivals)? == Answer::End {
                *ended = true;
            }
        }
    }
    Ok(arrivals)
}
