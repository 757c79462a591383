// Right answers of others: a thread for each direction, as std has it.

pub mod extend {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::thread;

    pub use super::super::super::reference::subject::extend::*;

    pub fn exchange(input: &[u8], server: &TcpStream) -> io::Result<Vec<u8>> {
        thread::scope(|scope| {
            scope.spawn(|| {
                // An error means that the server has gone: the other direction says so as well.
                let _ = (&*server).write_all(input);
                let _ = server.shutdown(Shutdown::Write);
            });
            let mut output = Vec::new();
            (&*server).read_to_end(&mut output).map(|_| output)
        })
    }
}
