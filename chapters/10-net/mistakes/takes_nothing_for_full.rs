// [wrong-result] nothing_is_not_full
//
// Writes the empty parts, too. Such a write takes 0 bytes, as it does when the writer is full, and an
// empty message becomes an error.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::io::{self, IoSlice};
    use std::pin::Pin;

    use futures::io::AsyncWrite;

    pub async fn write_all_vectored<W: AsyncWrite + Unpin>(
        writer: &mut W,
        parts: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        let mut left = parts;
        while !left.is_empty() {
            let count = poll_fn(|cx| Pin::new(&mut *writer).poll_write_vectored(cx, left)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, count);
        }
        Ok(())
    }
}
