// [wrong-result] other_errors_are_returned
//
// Waits and tries again, whatever the error is. One that stays as it is, of a listener that is closed, say, is
// never heard of.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use under_await::ch09_timer::sleep;
    use under_await::ch10_net::{TcpListener, TcpStream};

    pub async fn accept_patiently(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match listener.accept().await {
                Err(_) => sleep(Duration::from_millis(10)).await,
                accepted => return accepted,
            }
        }
    }
}
