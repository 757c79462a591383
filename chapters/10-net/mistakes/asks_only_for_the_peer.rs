// [spins] refused_is_an_error
//
// A socket that has a peer is connected, and that is true. But a connection that was refused never has
// one, and its socket stays writable: it is asked, woken and asked again without end.

use std::{io, net};

pub fn connected(socket: &net::TcpStream) -> io::Result<()> {
    socket.peer_addr().map(drop).map_err(|_| io::ErrorKind::WouldBlock.into())
}
