// [data-lost] a_dropped_read_has_taken_nothing
//
// Gives the others a turn after it has read. If it is dropped meanwhile, nobody gets what it has read.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::io::AsyncReadExt;

use under_await::ch01_future::yield_now;
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
        let count = select! {
            biased;
            count = (&self.stream).read(buffer) => count,
            () = self.ending.cancelled() => Ok(0),
            () = sleep(self.idle) => Err(io::ErrorKind::TimedOut.into()),
        };
        yield_now().await;
        count
    }
}
