// [no-limit] who_does_not_read_is_not_read
//
// The version as it was found. It reads, and makes answers, whether or not anybody takes them. A client that sends
// and does not read has the memory of the server at its disposal.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;

    pub async fn answer_lines(
        connection: &Connection,
        answer: impl Fn(&[u8]) -> Vec<u8>,
    ) -> io::Result<()> {
        answer_lines_hastily(connection, answer).await
    }
}
