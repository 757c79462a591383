// [data-lost] what_has_arrived_comes_before_the_end
//
// A read that is pending is taken for "nothing is there". But the last read was a short one, so this one waits to
// be told that there is more; or its task has had its turn. The server ends, and what has arrived is thrown away.

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
            () = sleep(self.idle) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
