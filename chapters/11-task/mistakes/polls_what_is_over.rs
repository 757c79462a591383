// [polled-after-ready] not_after_its_end
//
// Woken twice, so polled twice: nobody remembers that the task was over after the first of the two. An
// `async` block panics then; other futures give a second answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use under_await::ch11_task::{JoinHandle, spawn as right};
use under_await::waker_fn;

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let (mut future, wakes) = (Box::pin(future), Arc::new(AtomicU32::new(0)));
    right(poll_fn(move |cx| {
        let (count, waker) = (wakes.clone(), cx.waker().clone());
        let counting = waker_fn(move || {
            count.fetch_add(1, Ordering::Relaxed);
            waker.wake_by_ref();
        });
        let mut output = Poll::Pending;
        for _ in 0..wakes.swap(0, Ordering::Relaxed).max(1) {
            if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(&counting)) {
                output = Poll::Ready(ready);
            }
        }
        output
    }))
}
