//! # Layer 10 · the net
//!
//! **Before.** `ch08_poll` waits for descriptors and `ch09_timer` for moments; nobody reads or
//! writes anything yet.
//!
//! **Idea.** Try first. A call that would wait says `WouldBlock`: leave the waker, be pending, and
//! when woken try again. So a socket that is ready costs one system call, and none is taken to be
//! ready because of a report.
//!
//! **Invariants.**
//! 1. *Never blocked:* every socket is non-blocking from its first moment on.
//! 2. *Try again:* a wake may be false; only a call on the socket says how things are.
//! 3. *Partial is normal:* a read or a write does as much as it can, and says how much.
//! 4. *Connected is asked:* a socket that became writable may have failed; `SO_ERROR` knows.
//! 5. *One fails alone:* an error of a peer is an error of that connection, and of no other.
//!
//! **Still wrong.** One future, one client: while the server talks to the first, the second waits.
//! The next layer, the tasks, runs many futures on this thread.
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::io::ErrorKind::{ConnectionAborted, Interrupted, NotConnected, WouldBlock};
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite};
use futures::stream::{self, Stream};

use under_await::budget::poll_spending;
use under_await::ch08_poll::{Direction, Registration};
use under_await::sys;

/// What a poll of something that may fail answers.
type PollIo<T> = Poll<io::Result<T>>;

/// A socket or a pipe whose calls, where they would wait, are pending instead. At most one future
/// may wait in each direction: a second one takes the place of the first.
#[derive(Debug)]
pub struct Async<T> {
    /// Its row in the reactor. It stands first, so it goes before the descriptor is closed.
    registration: Registration,
    /// The thing itself. It is non-blocking, and must stay so.
    io: T,
}

impl<T: AsFd> Async<T> {
    /// Tries `attempt` now. If it would wait, leaves the waker, to be woken when it is worth while
    /// to try again.
    pub fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> PollIo<R> {
        todo!("10.1: try; if it would wait, leave the waker; after a signal, try again")
    }
}

impl<T: AsFd> Async<T> {
    /// Makes `io` non-blocking, and gives it a row in this thread's reactor. Fails when the reactor
    /// cannot watch such a thing, or not one more.
    pub fn new(io: T) -> io::Result<Self> {
        sys::set_nonblocking(&io)?;
        Self::nonblocking(io)
    }

    /// The same for what is non-blocking already.
    fn nonblocking(io: T) -> io::Result<Self> {
        Ok(Async { registration: Registration::new(&io)?, io })
    }

    /// Leaves the waker, and is pending.
    pub fn wait_for<R>(&self, direction: Direction, cx: &mut Context<'_>) -> PollIo<R> {
        self.registration.wait_for(direction, cx)?;
        Poll::Pending
    }

    /// What `f` gives when it need not wait. Cancel safe: an attempt that does something is the last.
    async fn io<R>(&self, way: Direction, mut f: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| poll_spending(cx, |cx| self.poll_io(way, cx, &mut f))).await
    }
}

/// A TCP socket that waits for connections. One future may wait for them at a time: a second one takes
/// the place of the first, which nobody wakes then.
#[derive(Debug)]
pub struct TcpListener {
    /// Ready to read when somebody has connected.
    io: Async<net::TcpListener>,
}

impl TcpListener {
    /// Listens at `address`; with port 0, at a port that the system chooses. Its connections
    /// inherit `TCP_NODELAY`. Fails as bind(2) and listen(2), and as [`Async::new`].
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let listener = sys::attempt("bind", || net::TcpListener::bind(address.into()))?;
        sys::set_option(&listener, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        Self::from_std(listener)
    }

    /// Takes over a listener of std's. Fails as [`Async::new`].
    pub fn from_std(listener: net::TcpListener) -> io::Result<Self> {
        Ok(TcpListener { io: Async::new(listener)? })
    }

    /// The address it listens at. Fails as getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::attempt("getsockname", || self.io.io.local_addr())
    }

    /// Waits for the next connection. Cancel safe: what nobody took is there for the next call.
    /// Fails as accept(2); with too many open files the connection stays where it is, and the next
    /// call fails at once too: close something, or sleep a little.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// One connection after the other, without end. After an error, see [`accept`](Self::accept).
    pub fn incoming(&self) -> impl Stream<Item = io::Result<TcpStream>> + Unpin {
        stream::poll_fn(|cx| self.poll_accept(cx).map_ok(|(stream, _)| stream).map(Some))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> PollIo<(TcpStream, SocketAddr)> {
        loop {
            let accepted =
                poll_spending(cx, |cx| self.io.poll_io(Direction::Read, cx, sys::accept));
            match ready!(accepted) {
                // The peer went away before its turn came. That is nobody else's error.
                Err(error) if error.kind() == ConnectionAborted => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok((socket, peer)) => return Poll::Ready(Ok((TcpStream::over(socket)?, peer))),
            }
        }
    }
}

/// A TCP connection, to be read and written through [`futures::io`]; through a shared reference too,
/// so that one future may read while another one writes; of two that read, only the last one is woken.
/// It stays on its thread.
#[derive(Debug)]
pub struct TcpStream {
    /// The socket.
    io: Async<net::TcpStream>,
    /// Whether the last read, and the last write, did less than asked: there was no more to read
    /// then, or no more room, and the next one would have to wait.
    short: [Cell<bool>; 2],
}

impl TcpStream {
    /// Connects to `address`, and sets `TCP_NODELAY`. Dropped before it is ready, it gives up. Fails
    /// as connect(2). For a silent peer that may take minutes: put a timeout around it.
    pub async fn connect(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let stream = TcpStream::over(sys::begin_connect(address.into())?)?;
        stream.io.io(Direction::Write, connected).await?;
        Ok(stream)
    }

    /// Takes over a connection of std's. Fails as [`Async::new`].
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        sys::set_nonblocking(&stream)?;
        Self::over(stream)
    }

    /// The connection over a socket that is non-blocking already.
    fn over(socket: net::TcpStream) -> io::Result<Self> {
        Ok(TcpStream { io: Async::nonblocking(socket)?, short: Default::default() })
    }

    /// The address of the other side. Fails as getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::attempt("getpeername", || self.io.io.peer_addr())
    }

    /// The address of this side. Fails as getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::attempt("getsockname", || self.io.io.local_addr())
    }

    /// Whether small writes go out at once, or wait until the peer has acknowledged those before.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        sys::attempt("setsockopt", || self.io.io.set_nodelay(nodelay))
    }

    /// Ends reading, writing or both. Fails as shutdown(2), but not when the connection is gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match sys::attempt("shutdown", || self.io.io.shutdown(how)) {
            Err(error) if error.kind() == NotConnected => Ok(()),
            result => result,
        }
    }
}

/// Whether a connection that was begun stands: an error if it failed, `WouldBlock` while it may
/// still do either.
pub fn connected(socket: &net::TcpStream) -> io::Result<()> {
    todo!("10.2: ask for the error; without one ask for the peer: it may be too early")
}

impl TcpStream {
    /// Reads or writes up to `length` bytes.
    fn poll_transfer(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        length: usize,
        transfer: impl FnMut(&net::TcpStream) -> io::Result<usize>,
    ) -> PollIo<usize> {
        let short = &self.short[direction as usize];
        if 0 < length && short.take() {
            // A guess. Where it is wrong, the reactor says at once that the socket is ready.
            return self.io.wait_for(direction, cx);
        }
        // A socket that is never empty, or never full, keeps no other future from its turn.
        let count = ready!(poll_spending(cx, |cx| self.io.poll_io(direction, cx, transfer)))?;
        short.set(0 < count && count < length);
        Poll::Ready(Ok(count))
    }
}

impl AsyncRead for &TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> PollIo<usize> {
        self.poll_transfer(Direction::Read, cx, buffer.len(), |socket| sys::recv(socket, buffer))
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> PollIo<usize> {
        self.poll_transfer(Direction::Write, cx, bytes.len(), |socket| sys::send(socket, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> PollIo<()> {
        // What was written is the system's already.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> PollIo<()> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> PollIo<usize> {
        Pin::new(&mut &*self).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> PollIo<usize> {
        Pin::new(&mut &*self).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollIo<()> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollIo<()> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

/// A UDP socket. What arrives does so whole, and all or nothing of it. As with a connection, one future
/// at a time may wait to send, and one to receive; to do so is cancel safe.
#[derive(Debug)]
pub struct UdpSocket {
    /// The socket.
    io: Async<net::UdpSocket>,
}

impl UdpSocket {
    /// A socket at `address`; with port 0, at a port that the system chooses. Fails as bind(2), and
    /// as [`Async::new`].
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let socket = sys::attempt("bind", || net::UdpSocket::bind(address.into()))?;
        Ok(UdpSocket { io: Async::new(socket)? })
    }

    /// The address it is bound to. Fails as getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::attempt("getsockname", || self.io.io.local_addr())
    }

    /// From now on, sends to `peer` and hears from nobody else. Fails as connect(2), and never waits.
    pub fn connect(&self, peer: impl Into<SocketAddr>) -> io::Result<()> {
        sys::attempt("connect", || self.io.io.connect(peer.into()))
    }

    /// Sends a datagram to `to`. Fails as sendto(2).
    pub async fn send_to(&self, bytes: &[u8], to: impl Into<SocketAddr>) -> io::Result<usize> {
        let to = to.into();
        self.io.io(Direction::Write, |io| sys::attempt("sendto", || io.send_to(bytes, to))).await
    }

    /// Waits for a datagram, from whomever; what does not fit is lost. Fails as recvfrom(2).
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.io(Direction::Read, |io| sys::attempt("recvfrom", || io.recv_from(buffer))).await
    }

    /// Sends a datagram to the peer of [`connect`](Self::connect). Fails as send(2).
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io.io(Direction::Write, |io| sys::attempt("send", || io.send(bytes))).await
    }

    /// Waits for a datagram of the peer; what does not fit is lost. Fails as recv(2).
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.io(Direction::Read, |io| sys::attempt("recv", || io.recv(buffer))).await
    }
}

/// The socket of std's, for whatever options this layer does not set.
macro_rules! as_fd {
    ($($socket:ident),+) => {$(
        impl AsFd for $socket {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.io.io.as_fd()
            }
        }
    )+};
}

as_fd!(TcpListener, TcpStream, UdpSocket);

/// What the chapter does not show.
pub mod extend {
    // What chapter 10 asks beyond its layer.

    use std::future::poll_fn;
    use std::io::{self, ErrorKind, IoSlice};
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::time::Duration;

    use futures::io::AsyncWrite;

    use under_await::ch09_timer::{sleep, timeout};

    use super::{TcpListener, TcpStream};

    /// Writes all of `bytes`, in order, and nothing twice.
    pub async fn write_all<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        todo!("10.3: write what is left until nothing is; 0 bytes written are `WriteZero`")
    }

    /// Connects to the first of `addresses` that answers. They are tried one after the other, each for
    /// `limit` at most. If none answers, the error is that of the last one: `TimedOut`, or its own.
    /// Without any address it is `InvalidInput`.
    pub async fn connect_any(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
        todo!("10.4: one address after the other, until one answers in time")
    }

    /// Writes all of `parts`, one after the other, without copying them into one buffer first. Each
    /// `poll_write_vectored` is offered all that is left.
    pub async fn write_all_vectored<W: AsyncWrite + Unpin>(
        writer: &mut W,
        parts: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        todo!("10.5: write what is left of the parts; a write may end in the middle of one")
    }

    /// Accepts a connection, also when the process has too many open files: then it waits until there
    /// is room again. Other errors are returned.
    pub async fn accept_patiently(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        todo!("10.6: what `accept_stubbornly` below is meant to do, without the hurry")
    }

    /// Whether what is missing may be there again later: descriptors, or memory.
    pub fn is_shortage(error: &io::Error) -> bool {
        let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        error.raw_os_error().is_some_and(|errno| shortages.contains(&errno))
    }

    /// The version to mend. It does not give up, whatever the error is.
    pub async fn accept_stubbornly(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            if let Ok(accepted) = listener.accept().await {
                return Ok(accepted);
            }
        }
    }
}
