// [waits-for-one] others_go_on_meanwhile
//
// Connects with std's `connect_timeout`, which keeps to the limit. It waits in the kernel, though, and not
// in the reactor: for as long as the peer is silent, no other future of the thread is polled.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io;
    use std::net::{self, SocketAddr};
    use std::time::Duration;

    use under_await::ch10_net::TcpStream;

    pub async fn connect_any(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
        let mut last = Err(io::ErrorKind::InvalidInput.into());
        for address in addresses {
            last = net::TcpStream::connect_timeout(address, limit).and_then(TcpStream::from_std);
            if last.is_ok() {
                break;
            }
        }
        last
    }
}
