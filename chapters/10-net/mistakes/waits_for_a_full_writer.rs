// [never-returns] a_full_writer_is_an_error
//
// Writes until nothing is left, and does not look for a write of 0 bytes. The writer is full, is asked again and
// says so again.

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
            left = &left[count..];
        }
        Ok(())
    }
}
