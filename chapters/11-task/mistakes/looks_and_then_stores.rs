// [lost-wake] every_order_of_two_wakes
//
// At the end of the poll it looks whether a wake has come, and then says that the task is idle. A wake
// between the two found it running, so nobody queues it.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use crate::support::schedules::model::{AtomicU8, Ordering};
use under_await::ch11_task::{JoinHandle, spawn as right};

const IDLE: u8 = 0b00;
const QUEUED: u8 = 0b01;
const RUNNING: u8 = 0b10;
const RENOTIFIED: u8 = 0b11;

struct Header {
    state: AtomicU8,
    /// Puts the task into the queue.
    queue: OnceLock<Waker>,
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        if self.state.fetch_or(QUEUED, Ordering::Release) == IDLE {
            self.queue.get().expect("it was polled").wake_by_ref();
        }
    }
}

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let mut future = Box::pin(future);
    let header = Arc::new(Header { state: QUEUED.into(), queue: OnceLock::new() });
    let waker = header.clone().into();
    right(poll_fn(move |cx| {
        let queue = header.queue.get_or_init(|| cx.waker().clone());
        header.state.swap(RUNNING, Ordering::Acquire);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            match header.state.load(Ordering::Acquire) {
                RENOTIFIED => {
                    header.state.store(QUEUED, Ordering::Release);
                    queue.wake_by_ref();
                }
                _ => header.state.store(IDLE, Ordering::Release),
            }
        }
        polled
    }))
}
