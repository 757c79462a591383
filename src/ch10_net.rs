//! # Layer 10 · the net
//!
//! **Before.** `ch08_poll` waits for descriptors and `ch09_timer` for moments; nobody reads or
//! writes anything yet.
//!
//! **Idea.** Try first. A call that would wait says `WouldBlock`: leave the waker, be pending, and
//! when woken try again. So a socket that is ready costs one system call, and none is trusted to
//! be ready because somebody said so.
//!
//! **Invariants.**
//! 1. *Never blocked:* every socket is non-blocking from its first moment on.
//! 2. *Try again:* a wake may be false; only the call itself says how things are.
//! 3. *Partial is normal:* a read or a write does as much as it can, and says how much.
//! 4. *Connected is asked:* a socket that got writable may have failed; `SO_ERROR` knows.
//! 5. *One fails alone:* an error of a peer is an error of that connection, and of no other.
//!
//! **Still wrong.** One future, one client: while the server talks to the first, the second waits.
//! The next layer, the tasks, runs many futures on this thread.

use std::io;
use std::io::{Read, Write};
use std::net;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};

use crate::ch08_poll::{Direction, Registration};
use crate::sys;

// ANCHOR: Async
/// A socket or a pipe whose calls, where they would wait, are pending instead.
#[derive(Debug)]
pub struct Async<T> {
    /// Its row in the reactor. It stands first, so it goes before the descriptor is closed.
    registration: Registration,
    /// The thing itself, non-blocking.
    io: T,
}

impl<T: AsFd> Async<T> {
    /// Makes `io` non-blocking and gives it a row.
    ///
    /// # Errors
    /// When it cannot be made non-blocking, or the reactor cannot watch it.
    pub fn new(io: T) -> io::Result<Self> {
        sys::set_nonblocking(&io)?;
        Self::from_nonblocking(io)
    }

    /// The same for what is non-blocking already.
    fn from_nonblocking(io: T) -> io::Result<Self> {
        Ok(Async { registration: Registration::new(&io)?, io })
    }

    /// What is inside.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Tries `attempt` now; when it would wait, leaves the waker to be woken when it is ready in
    /// `direction`.
    pub fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match attempt(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.wait_for(direction, cx)?;
                    return Poll::Pending;
                }
                // A signal came before anything was done.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}
// ANCHOR_END: Async

// ANCHOR: TcpStream
/// A TCP connection.
///
/// It is read and written through [`futures::io`], also through a shared reference, so that one
/// future may read while another writes. It belongs to the reactor of its thread and stays there.
#[derive(Debug)]
pub struct TcpStream {
    io: Async<net::TcpStream>,
}

impl AsyncRead for &TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io.poll_io(Direction::Read, cx, |mut stream| {
            let portion = sys::portion(buffer.len());
            sys::attempt("recv", || stream.read(&mut buffer[..portion]))
        })
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_io(Direction::Write, cx, |mut stream| {
            // std sends with `MSG_NOSIGNAL`, so a peer that has gone is an error and not a signal.
            sys::attempt("send", || stream.write(&buffer[..sys::portion(buffer.len())]))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is the kernel's already.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}
// ANCHOR_END: TcpStream
