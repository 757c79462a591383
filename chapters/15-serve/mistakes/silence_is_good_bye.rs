// [wrong-result] silence_has_a_limit
//
// A client that says nothing for too long has nothing more to say, it seems: 0 bytes. The handler takes that for
// a good end, and goes on as after one.

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
            count = (&self.stream).read(buffer) => count,
            () = self.ending.cancelled() => Ok(0),
            () = sleep(self.idle) => Ok(0),
        }
    }
}
