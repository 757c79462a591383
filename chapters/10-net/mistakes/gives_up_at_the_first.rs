// [wrong-result] the_first_that_answers
//
// The first address that says anything decides: its error is the error of all of them.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use under_await::ch09_timer::timeout;
    use under_await::ch10_net::TcpStream;

    pub async fn connect_any(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
        for address in addresses {
            if let Ok(result) = timeout(limit, TcpStream::connect(*address)).await {
                return result;
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
