// [unseen] every_order_of_two_wakes
//
// Looks at the flag and clears it in two steps. A wake may come in between, find the flag set and
// leave it at that. Then the flag is cleared, and what that wake had to hand on goes with it.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use crate::support::schedules::model::thread::{self, Thread};
use crate::support::schedules::model::{AtomicBool, Ordering};

struct Signal {
    woken: AtomicBool,
    thread: Thread,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let signal = Arc::new(Signal { woken: AtomicBool::new(false), thread: thread::current() });
    let waker = signal.clone().into();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !signal.woken.load(Ordering::Acquire) {
            thread::park();
        }
        signal.woken.store(false, Ordering::Relaxed);
    }
}
