// [piles-up] polled_ten_thousand_times
//
// A sleep that is polled before its time is up gets a new key each time. The map grows with every poll,
// and at the deadline each of these entries wakes, one after the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

thread_local! {
    static TIMERS: RefCell<BTreeMap<Key, Waker>> = RefCell::default();
}

pub fn pending_timers() -> usize {
    TIMERS.with_borrow(BTreeMap::len)
}

pub struct Sleep(Instant);

pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep(deadline)
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 <= Instant::now() {
            return Poll::Ready(());
        }
        let key = Key::new(self.0);
        TIMERS.with_borrow_mut(|timers| timers.insert(key, cx.waker().clone()));
        Poll::Pending
    }
}
