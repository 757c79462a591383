// [data-lost] who_does_not_read_is_not_read
//
// Bounds the channel, and does not wait for room in it. The memory does not grow, and the answers for which there is
// no room are gone.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;

    use under_await::ch12_join::try_join;
    use under_await::ch14_sync::channel;

    pub async fn answer_lines(
        connection: &Connection,
        answer: impl Fn(&[u8]) -> Vec<u8>,
    ) -> io::Result<()> {
        let (answers, mut waiting) = channel(16);
        let reading = async move {
            let mut rest = Vec::new();
            while let Some(line) = read_line(connection, &mut rest, PATIENCE).await? {
                let _ = answers.try_send(answer(&line));
            }
            Ok(())
        };
        let writing = async {
            while let Some(bytes) = waiting.recv().await {
                connection.write_all(&bytes).await?;
            }
            Ok(())
        };
        try_join!(reading, writing).map(drop)
    }
}
