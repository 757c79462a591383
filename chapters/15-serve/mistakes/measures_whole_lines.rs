// [no-limit] a_line_is_no_longer_than_that
//
// Looks at the length of a line when all of it is there. One without an end is read on and on, into a memory that
// grows.

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
                    let line = rest[..end].to_vec();
                    rest.drain(..=end);
                    let fits = line.len() <= LONGEST;
                    return if fits { Ok(Some(line)) } else { Err(io::ErrorKind::InvalidData.into()) };
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
