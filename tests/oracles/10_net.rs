// The oracle of chapter 10: what `futures` has of what the chapter asks.

pub mod extend {
    pub use super::super::super::reference::subject::extend::*;

    use std::io;

    use futures::io::{AsyncWrite, AsyncWriteExt};

    pub async fn write_all<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        writer.write_all(bytes).await
    }
}
