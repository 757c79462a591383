// [not-asked] asked_too_early
//
// Asks for `SO_ERROR`, and takes "none" for "connected". But it also means "none so far": after a false
// wake, this hands out a connection that may still be refused.

use std::{io, net};

pub fn connected(socket: &net::TcpStream) -> io::Result<()> {
    socket.take_error()?.map_or(Ok(()), Err)
}
