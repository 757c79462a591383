// [data-lost] who_does_not_read_is_not_read
//
// Keeps one answer, and waits for two things at once: that it is written, and that the next line comes. When the line
// is first, the writing is dropped, in the middle of an answer.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;

    use under_await::select;

    pub async fn answer_lines(
        connection: &Connection,
        answer: impl Fn(&[u8]) -> Vec<u8>,
    ) -> io::Result<()> {
        let (mut rest, mut waiting) = (Vec::new(), Vec::<Vec<u8>>::new());
        loop {
            select! {
                line = read_line(connection, &mut rest, PATIENCE), if waiting.len() < 16 => match line? {
                    Some(line) => waiting.push(answer(&line)),
                    None => break,
                },
                written = connection.write_all(waiting.first().map_or(&[], |bytes| bytes)), if !waiting.is_empty() => {
                    written?;
                    waiting.remove(0);
                }
            }
        }
        connection.write_all(&waiting.concat()).await
    }
}
