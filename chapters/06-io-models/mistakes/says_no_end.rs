// [both-wait] all_of_it_comes_back
//
// Sends the input, and then waits for the answer. The server waits for the end of the input, and that is not
// where the bytes end: nobody has said so.

pub mod extend {
    use std::io;
    use std::net::TcpStream;

    use super::super::super::super::reference::subject::Answer;
    pub use super::super::super::super::reference::subject::extend::*;

    pub fn exchange(input: &[u8], server: &TcpStream) -> io::Result<Vec<u8>> {
        server.set_nonblocking(true)?;
        let (mut left, mut output) = (input, Vec::new());
        loop {
            let ready = ready(server, !left.is_empty())?;
            if ready & !libc::POLLOUT != 0 && receive(server, &mut output)? == Answer::End {
                return Ok(output);
            }
            if ready & libc::POLLOUT != 0 {
                left = &left[send(server, left)?..];
            }
        }
    }
}
