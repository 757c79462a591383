// Right answers of others: poll(2), and a thread for each pipe. What is about the bit set itself is
// ours.

pub mod extend {
    use std::io::{self, PipeReader, Read};
    use std::os::fd::{AsFd, AsRawFd};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    pub use super::super::super::reference::subject::extend::*;

    pub fn readable_within(io: &impl AsFd, limit: Duration) -> io::Result<bool> {
        let fd = io.as_fd().as_raw_fd();
        let deadline = Instant::now().checked_add(limit);
        let mut row = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left = left.map_or(-1, |left| left.as_nanos().div_ceil(1_000_000) as i32);
            // SAFETY: `row` is one row, and ours.
            match unsafe { libc::poll(&mut row, 1, left) } {
                -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                -1 => return Err(io::Error::last_os_error()),
                ready => return Ok(ready > 0),
            }
        }
    }

    pub fn gather(pipes: Vec<PipeReader>) -> io::Result<Vec<u8>> {
        let (give, take) = mpsc::channel();
        for mut pipe in pipes {
            let give = give.clone();
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                    let _ = give.send(buffer[..length].to_vec());
                }
            });
        }
        drop(give);
        Ok(take.iter().flatten().collect())
    }
}
