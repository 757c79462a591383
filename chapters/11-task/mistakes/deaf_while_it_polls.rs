// [lost-wake] a_wake_during_the_poll
//
// A wake says "from now on, poll it again", and the poll that is under way clears that when it ends. A
// task that wakes itself, or is woken by a quick thread, is forgotten.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use under_await::ch04_park::Parker;
use under_await::waker_fn;

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let (parker, woken) = (Parker::new(), Arc::new(AtomicBool::new(false)));
    let (ends_the_sleep, mark) = (parker.waker().clone(), woken.clone());
    let waker: Waker = waker_fn(move || {
        mark.store(true, Ordering::SeqCst);
        ends_the_sleep.wake_by_ref();
    });
    let mut future = pin!(future.into_future());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        woken.store(false, Ordering::SeqCst);
        while !woken.load(Ordering::SeqCst) {
            parker.park();
        }
    }
}
