// [woken-under-lock] wakers_come_and_go_when_the_map_is_free
//
// Inserts, and at the semicolon drops the waker that was there: inside the borrow. If that waker was the
// last to keep a task alive, the task's sleeps go with it, and each of them wants to leave the map.

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
        TIMERS.with_borrow_mut(|timers| {
            timers.insert(self.1, waker);
        });
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
