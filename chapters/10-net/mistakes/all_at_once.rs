// [wrong-result] the_first_that_answers
//
// Begins all connections at the same time and takes the first in the list that stands. It is quick, but
// each of the other servers has been given a client that leaves again.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use futures::future::join_all;

    use under_await::ch09_timer::timeout;
    use under_await::ch10_net::TcpStream;

    pub async fn connect_any(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
        let mut last = Err(io::ErrorKind::InvalidInput.into());
        let dials = addresses.iter().map(|address| timeout(limit, TcpStream::connect(*address)));
        for result in join_all(dials).await {
            last = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            if last.is_ok() {
                break;
            }
        }
        last
    }
}
