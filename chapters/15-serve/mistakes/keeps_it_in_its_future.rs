// [data-lost] a_dropped_read_line_has_lost_nothing
//
// Collects the line in a variable of its own. When it is dropped, by a `select!` in which something else was first,
// the half of the line that had come is dropped with it.

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
            let (mut read, mut piece) = (std::mem::take(rest), [0; 512]);
            loop {
                if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                    *rest = read.split_off(end + 1);
                    read.pop();
                    return Ok(Some(read));
                }
                match connection.read(&mut piece).await? {
                    0 => return Ok(None),
                    count => read.extend_from_slice(&piece[..count]),
                }
            }
        };
        timeout(limit, line).await?
    }
}
