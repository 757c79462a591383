// What chapter 15 asks beyond its layer.

use std::io;
use std::io::ErrorKind::InvalidData;
use std::time::Duration;

use under_await::ch09_timer::timeout;
use under_await::ch10_net::TcpStream;
use under_await::ch12_join::try_join;
use under_await::ch13_race::CancelToken;
use under_await::ch14_sync::{channel, unbounded};

// The checks name it, too.
pub use super::Connection;

/// How many bytes a line may have, without its end.
pub const LONGEST: usize = 1024;
/// How long a line may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that no server has accepted, for the checks.
pub fn connection(stream: TcpStream, idle: Duration) -> Connection {
    let peer = stream.peer_addr().expect("it is connected");
    Connection::new(stream, peer, idle, CancelToken::new())
}

/// Reads a line, and returns it without its `\n`. All of it has to come within `limit`, or the error
/// is `TimedOut`. If it has more bytes than [`LONGEST`], the error is `InvalidData`. When the client
/// has nothing more to say, or the server ends, it is `None`, whether or not a line had begun.
///
/// `rest` is for what was read and not returned yet: of this line, or of those that follow. Cancel
/// safe, if it is called with the same `rest` again.
pub async fn read_line(
    connection: &Connection,
    rest: &mut Vec<u8>,
    limit: Duration,
) -> io::Result<Option<Vec<u8>>> {
    // ANCHOR: todo_15_6 read into rest until a line is there, all of it within one limit
    let line = async {
        let mut piece = [0; 512];
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(rest.len()) > LONGEST {
                return Err(InvalidData.into());
            }
            if let Some(end) = end {
                let line = rest[..end].to_vec();
                rest.drain(..=end);
                return Ok(Some(line));
            }
            match connection.read(&mut piece).await? {
                0 => return Ok(None),
                count => rest.extend_from_slice(&piece[..count]),
            }
        }
    };
    timeout(limit, line).await?
    // ANCHOR_END: todo_15_6
}

/// Answers every line of a client with what `answer` makes of it, in the order of the lines, until
/// the client has nothing more to say. While the client does not take its answers, at most 16 of them
/// wait for it, however much it sends.
pub async fn answer_lines(
    connection: &Connection,
    answer: impl Fn(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    // ANCHOR: todo_15_7 what `answer_lines_hastily` below is meant to do, in bounded memory
    let mut rest = Vec::new();
    while let Some(line) = read_line(connection, &mut rest, PATIENCE).await? {
        connection.write_all(&answer(&line)).await?;
    }
    Ok(())
    // ANCHOR_END: todo_15_7
}

/// The version to mend. It does not let its reading wait for its writing.
pub async fn answer_lines_hastily(
    connection: &Connection,
    answer: impl Fn(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    let (answers, mut waiting) = unbounded();
    let reading = async move {
        let mut rest = Vec::new();
        while let Some(line) = read_line(connection, &mut rest, PATIENCE).await? {
            // It cannot fail: the other future has the receiver, and both end together.
            let _ = answers.send(answer(&line));
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
