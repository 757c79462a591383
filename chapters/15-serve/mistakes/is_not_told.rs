// [never-woken] who_waits_hears_of_the_end
//
// Asks whether the server ends, and then waits for the client. It does not hear of an end that comes while it
// waits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::FutureExt;
use futures::io::AsyncReadExt;

use under_await::ch09_timer::timeout;
use under_await::ch10_net::TcpStream;
use under_await::ch13_race::CancelToken;

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
        if self.ending.is_cancelled() {
            return Ok((&self.stream).read(buffer).now_or_never().transpose()?.unwrap_or(0));
        }
        timeout(self.idle, (&self.stream).read(buffer)).await?
    }
}
