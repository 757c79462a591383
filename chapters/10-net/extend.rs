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
    // ANCHOR: todo_10_3 write what is left until nothing is; 0 bytes written are `WriteZero`
    let mut left = bytes;
    while !left.is_empty() {
        let count = poll_fn(|cx| Pin::new(&mut *writer).poll_write(cx, left)).await?;
        if count == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        left = &left[count..];
    }
    Ok(())
    // ANCHOR_END: todo_10_3
}

/// Connects to the first of `addresses` that answers. They are tried one after the other, each for
/// `limit` at most. If none answers, the error is that of the last one: `TimedOut`, or its own.
/// Without any address it is `InvalidInput`.
pub async fn connect_any(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    // ANCHOR: todo_10_4 one address after the other, until one answers in time
    let mut last = ErrorKind::InvalidInput.into();
    for address in addresses {
        last = match timeout(limit, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => ErrorKind::TimedOut.into(),
        };
    }
    Err(last)
    // ANCHOR_END: todo_10_4
}

/// Writes all of `parts`, one after the other, without copying them into one buffer first. Each
/// `poll_write_vectored` is offered all that is left.
pub async fn write_all_vectored<W: AsyncWrite + Unpin>(
    writer: &mut W,
    parts: &mut [IoSlice<'_>],
) -> io::Result<()> {
    // ANCHOR: todo_10_5 write what is left of the parts; a write may end in the middle of one
    let mut left = parts;
    // Empty parts at the front are nothing to write.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let count = poll_fn(|cx| Pin::new(&mut *writer).poll_write_vectored(cx, left)).await?;
        if count == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, count);
    }
    Ok(())
    // ANCHOR_END: todo_10_5
}

/// Accepts a connection, also when the process has too many open files: then it waits until there
/// is room again. Other errors are returned.
pub async fn accept_patiently(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    // ANCHOR: todo_10_6 what `accept_stubbornly` below is meant to do, without the hurry
    let mut pause = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Err(error) if is_shortage(&error) => sleep(pause).await,
            accepted => return accepted,
        }
        pause = (2 * pause).min(Duration::from_secs(1));
    }
    // ANCHOR_END: todo_10_6
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
