// [panicked] not_after_its_end
//
// A wake looks its task up, and a task that is not there must be a bug. But a waker may outlive its task,
// and a timer, a socket or a thread that has kept it knows nothing of the end.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use under_await::ch11_task::{JoinHandle, spawn as right};
use under_await::waker_fn;

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let (mut future, there) = (Box::pin(future), Arc::new(AtomicBool::new(true)));
    right(poll_fn(move |cx| {
        let (found, waker) = (there.clone(), cx.waker().clone());
        let looks_it_up = waker_fn(move || {
            assert!(found.load(Ordering::Relaxed), "there is no task with that number");
            waker.wake_by_ref();
        });
        let polled = future.as_mut().poll(&mut Context::from_waker(&looks_it_up));
        there.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }))
}
