// [wrong-result] what_cannot_be_asked_is_an_error
//
// Takes every error of the question for the peer for "not yet". One of them means that; with the others, the
// socket is asked, is writable, and is asked again without end.

use std::{io, net};

pub fn connected(socket: &net::TcpStream) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    socket.peer_addr().map(drop).map_err(|_| io::ErrorKind::WouldBlock.into())
}
