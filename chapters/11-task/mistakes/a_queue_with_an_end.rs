// [panicked] many_wakes_are_one_poll
//
// Every wake is an entry again, and this time the queue has an end: a hundred places ought to do. The
// wake that finds it full can only panic, or block whoever calls it.

use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll};

use under_await::ch04_park::Parker;
use under_await::waker_fn;

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let (parker, (queue, entries)) = (Parker::new(), mpsc::sync_channel(100));
    let ends_the_sleep = parker.waker().clone();
    let waker = waker_fn(move || {
        queue.try_send(()).expect("the queue has room");
        ends_the_sleep.wake_by_ref();
    });
    waker.wake_by_ref();
    let mut future = pin!(future.into_future());
    loop {
        while entries.try_recv().is_ok() {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
        parker.park();
    }
}
