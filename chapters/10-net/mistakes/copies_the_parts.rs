// [wrong-result] the_parts_are_offered_as_they_are
//
// Makes one buffer of all parts, and writes that. The bytes are right; a header in front of a file of
// 100 MB makes a second file in memory.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io::{self, IoSlice};

    use futures::io::AsyncWrite;

    pub async fn write_all_vectored<W: AsyncWrite + Unpin>(
        writer: &mut W,
        parts: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        let whole = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        write_all(writer, &whole).await
    }
}
