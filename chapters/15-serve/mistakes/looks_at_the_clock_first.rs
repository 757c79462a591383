// [data-lost] who_has_spoken_is_not_silent
//
// The time is asked first. Mostly that is the same. But when another task has had the thread for long, the bytes
// are there and the time is over, and a client that spoke in time is let go as a silent one.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::io::AsyncReadExt;

use under_await::ch09_timer::sleep;
use under_await::ch10_net::TcpStream;
use under_await::ch13_race::CancelToken;
use under_await::select;

pub struct Connection {
    stream: TcpStream,
    idle: Duration,
    ending: CancelToken,
}

impl Connection {
    pub fn new(stream: TcpStream, _: SocketAddr, idle: Duration, ending: CancelToken) -> Self {
        Connection { stream, idle, ending }
    }

    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        select! {
            biased;
            () = sleep(self.idle) => Err(io::ErrorKind::TimedOut.into()),
            count = (&self.stream).read(buffer) => count,
            () = self.ending.cancelled() => Ok(0),
        }
    }
}
