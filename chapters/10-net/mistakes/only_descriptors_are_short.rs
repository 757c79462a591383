// [wrong-result] waits_for_whatever_is_short
//
// Waits at `EMFILE`, the limit of the process. The system has limits, too: at those, the server that was
// to be patient ends.

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
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                    sleep(Duration::from_millis(10)).await;
                }
                accepted => return accepted,
            }
        }
    }
}
