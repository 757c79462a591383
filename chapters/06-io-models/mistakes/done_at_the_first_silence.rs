// [data-lost] an_answer_in_pieces
//
// Says that the input has ended, waits for the answer, and reads until there is no more now. A server that
// makes a pause has not ended.

pub mod extend {
    use std::io;
    use std::net::{Shutdown, TcpStream};

    use super::super::super::super::reference::subject::Answer;
    pub use super::super::super::super::reference::subject::extend::*;

    pub fn exchange(input: &[u8], server: &TcpStream) -> io::Result<Vec<u8>> {
        server.set_nonblocking(true)?;
        let (mut left, mut output) = (input, Vec::new());
        while !left.is_empty() {
            let ready = ready(server, true)?;
            if ready & !libc::POLLOUT != 0 && receive(server, &mut output)? == Answer::End {
                return Ok(output);
            }
            if ready & libc::POLLOUT != 0 {
                left = &left[send(server, left)?..];
            }
        }
        server.shutdown(Shutdown::Write)?;
        ready(server, false)?;
        while receive(server, &mut output)? == Answer::Bytes {}
        Ok(output)
    }
}
