// [no-limit] a_byte_now_and_then_is_too_slow
//
// Puts the limit around the read, and a line takes as many reads as the client likes. With a byte for each of them
// it stays for ever, and a thousand such clients are all that a server has room for.

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
        let mut piece = [0; 512];
        loop {
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest[..end].to_vec();
                rest.drain(..=end);
                return Ok(Some(line));
            }
            match timeout(limit, connection.read(&mut piece)).await?? {
                0 => return Ok(None),
                count => rest.extend_from_slice(&piece[..count]),
            }
        }
    }
}
