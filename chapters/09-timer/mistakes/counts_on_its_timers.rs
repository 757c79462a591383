// [panicked] dropped_when_its_thread_ends
//
// Takes itself out of the timers, and counts on their being there. When a thread ends, its thread-locals
// go one after the other, and a sleep that was kept in one may be the last.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

thread_local! {
    static TIMERS: RefCell<Timers> = RefCell::default();
}

pub struct Sleep(Instant, Key);

pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep(deadline, Key::new(deadline))
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 <= Instant::now() {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let _older = TIMERS.with_borrow_mut(|timers| timers.insert(self.1, waker));
        Poll::Pending
    }
}

pub fn pending_timers() -> usize {
    TIMERS.with_borrow(|timers| usize::from(timers.timeout(Instant::now()).is_some()))
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let _waker = TIMERS.with_borrow_mut(|timers| timers.remove(self.1));
    }
}
