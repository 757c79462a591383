// [no-limit] silence_has_a_limit
//
// Reads, or hears that the server ends. A client that says nothing keeps its place for ever.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::io::AsyncReadExt;

use under_await::ch10_net::TcpStream;
use under_await::ch13_race::CancelToken;
use under_await::select;

pub struct Connection {
    stream: TcpStream,
    ending: CancelToken,
}

impl Connection {
    pub fn new(stream: TcpStream, _: SocketAddr, _: Duration, ending: CancelToken) -> Self {
        Connection { stream, ending }
    }

    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        select! {
            count = (&self.stream).read(buffer) => count,
            () = self.ending.cancelled() => Ok(0),
        }
    }
}
