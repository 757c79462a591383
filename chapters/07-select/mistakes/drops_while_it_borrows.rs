// [woken-under-lock] drops_the_older_waker_outside
//
// Puts the newest waker in place of the one before, in one assignment. The older one is dropped there,
// with the map still lent out, and with it perhaps a task whose own wait wants the map.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::{Poll, Waker};

thread_local!(static WAITING: RefCell<Vec<(RawFd, Waker)>> = const { RefCell::new(Vec::new()) });

/// Takes the waker out, as every wait does that is dropped.
struct Waits(RawFd);

impl Drop for Waits {
    fn drop(&mut self) {
        let _wakers = WAITING.with_borrow_mut(|waiting| {
            waiting.extract_if(.., |(fd, _)| *fd == self.0).collect::<Vec<_>>()
        });
    }
}

pub async fn readable(io: &impl AsFd) -> io::Result<()> {
    let waits = Waits(io.as_fd().as_raw_fd());
    poll_fn(|cx| {
        WAITING.with_borrow_mut(|waiting| {
            match waiting.iter_mut().find(|(fd, _)| *fd == waits.0) {
                Some((_, waker)) => *waker = cx.waker().clone(),
                None => waiting.push((waits.0, cx.waker().clone())),
            }
        });
        // The rest is left out: the check does not come so far.
        Poll::Pending
    })
    .await
}
