// smol's reactor under the checks of chapter 10. Its thread says what is ready, and ours polls.

use std::io::{self, ErrorKind};
use std::net;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::AsyncWrite;

use under_await::ch08_poll::Direction;

pub struct Async<T>(async_io::Async<T>);

impl<T: AsFd> Async<T> {
    pub fn new(io: T) -> io::Result<Self> {
        Ok(Async(async_io::Async::new(io)?))
    }

    pub fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match attempt(self.0.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => return Poll::Ready(result),
            }
            ready!(match direction {
                Direction::Read => self.0.poll_readable(cx),
                Direction::Write => self.0.poll_writable(cx),
            })?;
        }
    }
}

#[derive(Debug)]
pub struct TcpStream(async_io::Async<net::TcpStream>);

impl TcpStream {
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        Ok(TcpStream(async_io::Async::new(stream)?))
    }

    pub fn peer_addr(&self) -> io::Result<net::SocketAddr> {
        self.0.get_ref().peer_addr()
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

pub mod extend {
    use std::time::Duration;

    use futures::future::{Either, select};
    use futures::io::AsyncWriteExt;

    pub use super::super::reference::subject::extend::*;
    use super::*;

    pub async fn write_all<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        writer.write_all(bytes).await
    }

    pub async fn connect_any(
        addresses: &[net::SocketAddr],
        limit: Duration,
    ) -> io::Result<TcpStream> {
        let mut last = ErrorKind::InvalidInput.into();
        for address in addresses {
            let connect = Box::pin(async_io::Async::<net::TcpStream>::connect(*address));
            match select(connect, async_io::Timer::after(limit)).await {
                Either::Left((Ok(stream), _)) => return Ok(TcpStream(stream)),
                Either::Left((Err(error), _)) => last = error,
                Either::Right(_) => last = ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}
