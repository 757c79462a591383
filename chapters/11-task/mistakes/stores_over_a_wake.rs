// [unseen] every_order_of_two_wakes
//
// The end of the poll in two steps: idle, unless a wake has come; then queued. A second wake in between
// is written over. A poll comes, for the first wake's sake, but may not see what was done before the
// second.

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
            let idle = header.state.compare_exchange(
                RUNNING,
                IDLE,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if idle.is_err() {
                header.state.store(QUEUED, Ordering::Release);
                queue.wake_by_ref();
            }
        }
        polled
    }))
}
