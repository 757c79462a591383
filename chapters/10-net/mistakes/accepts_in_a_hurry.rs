// [busy-poll] waits_for_a_free_descriptor
//
// Lets others have a turn between two tries. They can close a descriptor now, and until they do, a
// core is busy with failing.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;
    use std::net::SocketAddr;

    use under_await::ch10_net::{TcpListener, TcpStream};
    use under_await::yield_now;

    pub async fn accept_patiently(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match listener.accept().await {
                Err(error) if is_shortage(&error) => yield_now().await,
                accepted => return accepted,
            }
        }
    }
}
