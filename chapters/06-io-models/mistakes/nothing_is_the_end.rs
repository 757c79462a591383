// [data-lost] a_false_report_is_no_end
//
// A pipe that was reported and has nothing to say is taken out of the table. Mostly that is an
// end; but a report may be false, and then the rest of the pipe is never read.

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
        for (pipe, row) in pipes.iter().zip(&mut table) {
            if row.fd >= 0 && row.revents != 0 && ask(pipe, &mut arrivals)? != Answer::Bytes {
                row.fd = -1;
            }
        }
    }
    Ok(arrivals)
}
