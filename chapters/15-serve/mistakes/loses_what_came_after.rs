// [data-lost] a_line_survives_every_cut
//
// Takes the line out of what it has read, and forgets the rest. Two lines that come in one piece are one.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;
    use std::time::Duration;

    use under_await::ch09_timer::timeout;

    pub async fn read_line(
        connection: &Connection,
        rest: &mut Vec<u8>,
        limit: Duration,
    ) -> io::Result<Option<Vec<u8>>> {
        let line = async {
            let mut piece = [0; 512];
            loop {
                if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    rest.truncate(end);
                    return Ok(Some(std::mem::take(rest)));
                }
                match connection.read(&mut piece).await? {
                    0 => return Ok(None),
                    count => rest.extend_from_slice(&piece[..count]),
                }
            }
        };
        timeout(limit, line).await?
    }
}
