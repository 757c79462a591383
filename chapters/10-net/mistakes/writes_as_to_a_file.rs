// [crashed] a_peer_that_is_gone_is_an_error
//
// Writes to a socket with write(2), as to a file. If the peer is gone, that raises SIGPIPE. A program that
// starts in Rust's `main` ignores the signal; any other one ends without a word.

use std::fs::File;
use std::io::{self, Write};
use std::net;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::AsyncWrite;
use under_await::ch08_poll::Direction;
use under_await::ch10_net;

pub struct TcpStream(ch10_net::Async<File>);

impl TcpStream {
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        // On Apple's systems it is an option of the socket, and std has set it.
        #[cfg(target_vendor = "apple")]
        under_await::sys::set_option(&stream, libc::SOL_SOCKET, libc::SO_NOSIGPIPE, 0)?;
        Ok(TcpStream(ch10_net::Async::new(File::from(OwnedFd::from(stream)))?))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_io(Direction::Write, cx, |mut file| file.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
