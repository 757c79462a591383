// [piles-up] dropped_after_a_poll
//
// No `Drop`. A sleep that was dropped stays in the map until its deadline, keeps its waker alive and
// wakes it in the end, though nobody waits. After a `timeout` of an hour on a request that took a
// millisecond, that is an hour.

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

pub struct Sleep(Instant, Option<Key>);

pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep(deadline, None)
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.0;
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let key = *self.1.get_or_insert_with(|| Key::new(deadline));
        TIMERS.with_borrow_mut(|timers| timers.insert(key, cx.waker().clone()));
        Poll::Pending
    }
}
