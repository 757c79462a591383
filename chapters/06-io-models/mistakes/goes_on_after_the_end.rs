// [spins] a_server_that_has_heard_enough
//
// Goes on for as long as there is something to send, even when the server has ended. An end stays:
// `poll` reports it at every call, and there is no sleep any more.

pub mod extend {
    use std::io;
    use std::net::{Shutdown, TcpStream};

    use super::super::super::super::reference::subject::Answer;
    pub use super::super::super::super::reference::subject::extend::*;

    pub fn exchange(input: &[u8], server: &TcpStream) -> io::Result<Vec<u8>> {
        server.set_nonblocking(true)?;
        let (mut left, mut output, mut over) = (input, Vec::new(), false);
        while !left.is_empty() {
            let ready = ready(server, true)?;
            if ready & !libc::POLLOUT != 0 && !over {
                over = receive(server, &mut output)? == Answer::End;
            }
            if ready & libc::POLLOUT != 0 {
                match send(server, left) {
                    Ok(sent) => left = &left[sent..],
                    Err(_) => return Ok(output),
                }
            }
        }
        server.shutdown(Shutdown::Write)?;
        Ok(output)
    }
}
