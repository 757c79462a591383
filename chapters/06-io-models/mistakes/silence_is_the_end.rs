// [data-lost] a_false_report_ends_no_conversation
//
// Takes a server that has nothing to say yet for one that has ended, when the kernel has reported it.

pub mod extend {
    use std::io;
    use std::net::{Shutdown, TcpStream};

    use super::super::super::super::reference::subject::Answer;
    pub use super::super::super::super::reference::subject::extend::*;

    pub fn exchange(input: &[u8], server: &TcpStream) -> io::Result<Vec<u8>> {
        server.set_nonblocking(true)?;
        let (mut left, mut output, mut sending) = (input, Vec::new(), true);
        loop {
            if sending && left.is_empty() {
                server.shutdown(Shutdown::Write)?;
                sending = false;
            }
            let ready = ready(server, sending)?;
            if ready & !libc::POLLOUT != 0 && receive(server, &mut output)? != Answer::Bytes {
                return Ok(output);
            }
            if ready & libc::POLLOUT != 0 && sending {
                left = &left[send(server, left)?..];
            }
        }
    }
}
