// [extra-call] n_events_are_one_poll_and_no_other_call
//
// Is woken, does not know for which descriptor, and asks the kernel about each in turn. The reactor has
// known since its one call, but was not asked.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};

    use under_await::{ch08_poll, sys};

    pub use super::super::super::super::reference::subject::extend::*;

    pub async fn ready_of(direction: ch08_poll::Direction, ios: &[impl AsFd]) -> io::Result<Vec<usize>> {
        let events = [libc::POLLIN, libc::POLLOUT][direction as usize];
        super::super::super::super::reference::subject::extend::ready_of(direction, ios).await?;
        let mut ready = Vec::new();
        for (place, io) in ios.iter().enumerate() {
            let mut row = libc::pollfd { fd: io.as_fd().as_raw_fd(), events, revents: 0 };
            // SAFETY: one row, which is ours.
            if sys::call("poll", || unsafe { libc::poll(&mut row, 1, 0) })? > 0 {
                ready.push(place);
            }
        }
        Ok(ready)
    }
}
