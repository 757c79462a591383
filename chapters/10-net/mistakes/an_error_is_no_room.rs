// [wrong-result] errors_are_no_end
//
// Takes a write that fails for one of 0 bytes. Whoever is told of a full writer may wait until there is room; a
// peer that is gone makes none.

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
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let write = poll_fn(|cx| Pin::new(&mut *writer).poll_write_vectored(cx, left));
            let count = write.await.unwrap_or(0);
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, count);
        }
        Ok(())
    }
}
