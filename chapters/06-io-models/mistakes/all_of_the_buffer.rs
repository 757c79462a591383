// [wrong-bytes] three_answers
//
// Adds the whole buffer, whatever `read` has said of its length. Behind the bytes of the pipe come those that
// were in the buffer before: zeros, or another pipe's.

use std::io::{self, PipeReader};
use std::os::fd::AsRawFd;

use under_await::sys;

pub use under_await::ch06_io_models::*;

pub fn ask(pipe: &PipeReader, arrivals: &mut Vec<u8>) -> io::Result<Answer> {
    let (fd, mut buffer) = (pipe.as_raw_fd(), [0_u8; 64]);
    let length = sys::restart("read", || {
        // SAFETY: pointer and length are those of `buffer`, which is ours.
        unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    match length {
        Ok(0) => Ok(Answer::End),
        Ok(_) => {
            arrivals.extend(buffer);
            Ok(Answer::Bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Answer::NothingYet),
        Err(error) => Err(error),
    }
}
