// [waits-for-one] each_in_its_turn
//
// A task that was woken during its poll is polled again at once, which saves the way through the queue.
// Every other task in the queue waits for as long as this one wakes itself.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use under_await::ch11_task::{JoinHandle, spawn as right};
use under_await::waker_fn;

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let (mut future, woken) = (Box::pin(future), Arc::new(AtomicBool::new(false)));
    right(poll_fn(move |cx| {
        let (mark, waker) = (woken.clone(), cx.waker().clone());
        let marking = waker_fn(move || {
            mark.store(true, Ordering::SeqCst);
            waker.wake_by_ref();
        });
        loop {
            woken.store(false, Ordering::SeqCst);
            let polled = future.as_mut().poll(&mut Context::from_waker(&marking));
            if polled.is_ready() || !woken.load(Ordering::SeqCst) {
                return polled;
            }
        }
    }))
}
