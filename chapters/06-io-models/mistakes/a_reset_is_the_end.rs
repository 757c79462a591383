// [misread] a_broken_connection_is_an_error
//
// Takes an error for the end: what has come by then passes for the whole answer.

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
            if ready & !libc::POLLOUT != 0 {
                match receive(server, &mut output) {
                    Ok(Answer::End) | Err(_) => return Ok(output),
                    Ok(_) => {}
                }
            }
            if ready & libc::POLLOUT != 0 && sending {
                left = &left[send(server, left)?..];
            }
        }
    }
}
