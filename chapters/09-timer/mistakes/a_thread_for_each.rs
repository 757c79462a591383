// [piles-up] dropped_after_a_poll
//
// A thread for each sleep, as in chapter 5. Nobody can call a thread back: a sleep that was dropped
// keeps its thread, with its stack, until the time is over. 10,000 timeouts of a minute are 10,000
// threads.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

static THREADS: AtomicUsize = AtomicUsize::new(0);

pub fn pending_timers() -> usize {
    THREADS.load(Ordering::SeqCst)
}

pub struct Sleep(Instant, Option<Arc<Mutex<Waker>>>);

pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep(deadline, None)
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        if let Some(waker) = &self.1 {
            waker.lock().unwrap().clone_from(cx.waker());
            return Poll::Pending;
        }
        let waker = Arc::new(Mutex::new(cx.waker().clone()));
        self.1 = Some(waker.clone());
        THREADS.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            thread::sleep(left);
            waker.lock().unwrap().wake_by_ref();
            THREADS.fetch_sub(1, Ordering::SeqCst);
        });
        Poll::Pending
    }
}
