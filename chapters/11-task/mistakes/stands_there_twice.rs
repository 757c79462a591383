// [polled-after-ready] woken_again_before_its_turn
//
// A task that was woken in its poll goes to the end of the queue, and its state says that it waits. The next
// wake believes that, and queues it once more: two turns, and the first of them may be the last.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use under_await::ch11_task::{JoinHandle, spawn as right};

const IDLE: u8 = 0b00;
const QUEUED: u8 = 0b01;
const RUNNING: u8 = 0b10;
const RENOTIFIED: u8 = 0b11;
const DONE: u8 = 0b100;

struct Header {
    state: AtomicU8,
    /// How often it stands in the queue.
    places: AtomicU32,
    /// Has its turn come.
    turn: OnceLock<Waker>,
}

impl Header {
    fn queue(&self) {
        self.places.fetch_add(1, Ordering::Relaxed);
        self.turn.get().expect("it was polled").wake_by_ref();
    }
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        if self.state.fetch_or(QUEUED, Ordering::Release) == IDLE {
            self.queue();
        }
    }
}

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let mut future = Box::pin(future);
    let (state, places, turn) = (QUEUED.into(), 1.into(), OnceLock::new());
    let header = Arc::new(Header { state, places, turn });
    let waker = header.clone().into();
    right(poll_fn(move |cx| {
        header.turn.get_or_init(|| cx.waker().clone());
        let mut output = Poll::Pending;
        for _ in 0..header.places.swap(0, Ordering::Relaxed) {
            header.state.swap(RUNNING, Ordering::Acquire);
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                header.state.store(DONE, Ordering::Relaxed);
                output = polled;
            } else if header.state.swap(IDLE, Ordering::Relaxed) == RENOTIFIED {
                header.queue();
            }
        }
        output
    }))
}
