// [lost-wake] polls_until_ready
//
// Sleeps between two polls, which costs nothing, and hands down a waker that does nothing. The
// future wakes it, as it should; the sleep goes on for ever.

use std::pin::pin;
use std::task::Poll;
use std::thread;

use under_await::ch01_future::poll_once;

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    block_on_counting(future).0
}

pub fn block_on_counting<F: IntoFuture>(future: F) -> (F::Output, u64) {
    let mut future = pin!(future.into_future());
    let mut polls = 0;
    loop {
        polls += 1;
        match poll_once(future.as_mut()) {
            Poll::Ready(output) => return (output, polls),
            Poll::Pending => thread::park(),
        }
    }
}
