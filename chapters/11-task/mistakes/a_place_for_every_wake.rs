// [busy-poll] many_wakes_are_one_poll
//
// Every wake is an entry in the queue, and every entry a poll. The queue has no bound; a queue that has
// one makes wakers wait, or panic.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use under_await::ch04_park::Parker;
use under_await::waker_fn;

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    const ROOT: u32 = 0;
    let (parker, queue) = (Parker::new(), Arc::new(Mutex::new(VecDeque::from([ROOT]))));
    let (ends_the_sleep, entries) = (parker.waker().clone(), queue.clone());
    let waker = waker_fn(move || {
        entries.lock().unwrap().push_back(ROOT);
        ends_the_sleep.wake_by_ref();
    });
    let mut future = pin!(future.into_future());
    loop {
        while let Some(ROOT) = { queue.lock().unwrap().pop_front() } {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
        parker.park();
    }
}
