// [busy-poll] an_unread_byte_ends_one_wait
//
// Goes on asking for a descriptor that has fired. Its byte is still there, so every later `select`
// returns at once, for nobody.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use super::super::super::reference::subject::{FdSet, select};

thread_local!(static WAITING: RefCell<Vec<(RawFd, Option<Waker>)>> = const { RefCell::new(Vec::new()) });

pub async fn readable(io: &impl AsFd) -> io::Result<()> {
    let (fd, mut left) = (io.as_fd().as_raw_fd(), false);
    poll_fn(|cx| {
        if std::mem::replace(&mut left, true) {
            return Poll::Ready(Ok(()));
        }
        WAITING.with_borrow_mut(|waiting| waiting.push((fd, Some(cx.waker().clone()))));
        Poll::Pending
    })
    .await
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let mut reads = FdSet::new();
        WAITING.with_borrow(|waiting| waiting.iter().for_each(|(fd, _)| reads.insert(*fd).unwrap()));
        select(&mut reads, &mut FdSet::new(), Some(Duration::from_millis(10))).unwrap();
    }
}
