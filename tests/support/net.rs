//! Peers of every kind, on this machine only.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use under_await::sys;
use under_await::sys::Address;

/// A port of this machine's that listens at nothing, and that nobody else gets meanwhile.
#[derive(Debug)]
pub struct Refused {
    /// Where nobody listens.
    pub address: SocketAddr,
    _socket: TcpStream,
}

/// An address whose connections are refused.
pub fn refused() -> Refused {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = TcpStream::from(sys::tcp_socket(&any).unwrap());
    let address = Address::from(any);
    let (pointer, length) = address.parts();
    // SAFETY: the pointer and the length are those of `address`, which is only read.
    let result = unsafe { libc::bind(socket.as_raw_fd(), pointer, length) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    Refused { address: socket.local_addr().unwrap(), _socket: socket }
}

/// A listener with so many connections that nobody takes that it answers no further one.
#[derive(Debug)]
pub struct BlackHole {
    /// Where nothing answers.
    pub address: SocketAddr,
    /// Takes the connections that stand in the way.
    pub listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

/// An address whose connections are neither accepted nor refused.
pub fn black_hole() -> BlackHole {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // SAFETY: two numbers go in; the descriptor is that of `listener`.
    let result = unsafe { libc::listen(listener.as_raw_fd(), 0) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
        waiting.push(stream);
        assert!(waiting.len() < 1000, "the backlog has no end");
    }
    BlackHole { address, listener, _waiting: waiting }
}

/// The two ends of a connection.
pub fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Closes `stream` in such a way that the peer hears of an error, and not of an end: with a linger
/// time of zero, a close sends RST.
pub fn reset(stream: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of_val(&linger) as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_LINGER);
    // SAFETY: the pointer and the length are those of `linger`, which is only read.
    let result = unsafe {
        libc::setsockopt(stream.as_raw_fd(), level, option, (&raw const linger).cast(), length)
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}
