// [wrong-result] waits_for_a_free_descriptor
//
// Sleeps for a second between two tries. That costs next to nothing while descriptors are short. But they are
// there again after a few milliseconds, most of the time, and each client waits for the rest of the second.

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
                Err(error) if is_shortage(&error) => sleep(Duration::from_secs(1)).await,
                accepted => return accepted,
            }
        }
    }
}
