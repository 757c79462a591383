// [wrong-bytes] writes_all_of_it
//
// A write that took a part is followed by a write of everything. The peer gets the beginning again and
// again, and in the end more bytes than there are.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;

    use futures::io::AsyncWrite;

    pub async fn write_all<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let count = poll_fn(|cx| Pin::new(&mut *writer).poll_write(cx, bytes)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            written += count;
        }
        Ok(())
    }
}
