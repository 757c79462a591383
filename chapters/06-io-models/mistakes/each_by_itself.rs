// [waits-for-one] in_the_order_of_arrival
//
// Waits for each pipe on its own. What comes to the others has to wait too.

use std::io::{self, PipeReader};

pub use under_await::ch06_io_models::*;

pub fn multiplexed(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut arrivals = Vec::new();
    for (pipe, row) in pipes.iter().zip(rows(pipes)?) {
        loop {
            match wait(&mut [row]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if ask(pipe, &mut arrivals)? == Answer::End {
                break;
            }
        }
    }
    Ok(arrivals)
}
