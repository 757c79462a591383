// [busy-poll] in_one_piece
//
// A tick instead of a deadline: whether or not a timer is due, the thread gets up every millisecond to
// look. The sleeps end in time, and an idle program never sleeps.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use under_await::ch08_poll::{self, Root};

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let root = Root::new().unwrap();
    let waker = Waker::from(root.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !root.take_wake() {
            ch08_poll::wait(Some(Duration::from_millis(1)), || root.is_woken()).unwrap();
            // Wakes who is due, and does not wait.
            wait(|| true).unwrap();
        }
    }
}
