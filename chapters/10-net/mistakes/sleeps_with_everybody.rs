// [waits-for-one] others_have_their_turns
//
// Pauses between two tries, and lets others in. But it is the thread that pauses, and with it every future on
// it.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;
    use std::net::SocketAddr;
    use std::thread;
    use std::time::Duration;

    use under_await::ch10_net::{TcpListener, TcpStream};
    use under_await::yield_now;

    pub async fn accept_patiently(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match listener.accept().await {
                Err(error) if is_shortage(&error) => {
                    thread::sleep(Duration::from_millis(10));
                    yield_now().await;
                }
                accepted => return accepted,
            }
        }
    }
}
