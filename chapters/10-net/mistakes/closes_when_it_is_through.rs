// [overwritten] the_writer_stays_open
//
// Closes the writer when all is written. It was lent for one message: the next one of this connection is a
// `BrokenPipe`.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;

    use futures::io::AsyncWrite;

    pub async fn write_all<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let count = poll_fn(|cx| Pin::new(&mut *writer).poll_write(cx, left)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            left = &left[count..];
        }
        poll_fn(|cx| Pin::new(&mut *writer).poll_close(cx)).await
    }
}
