// [not-on-time] one_wait_wakes_all_that_are_due
//
// Wakes one timer after each wait. The next wait is over at once, and wakes the next one: every sleep
// ends, and of a thousand that are due together the last is a thousand system calls late.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use under_await::ch08_poll;

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

pub fn wait(awake: impl Fn() -> bool) -> io::Result<()> {
    ch08_poll::wait(TIMERS.with_borrow(|timers| timers.timeout(Instant::now())), awake)?;
    let now = Instant::now();
    if let Some(waker) = TIMERS.with_borrow_mut(|timers| timers.pop_due(now)) {
        waker.wake();
    }
    Ok(())
}
