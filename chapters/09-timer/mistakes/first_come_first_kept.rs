// [old-waker] the_newest_waker
//
// The waker of the first poll stays where it is. If the sleep has been moved to another task since,
// that task is not the one that is woken.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub struct Sleep {
    inner: under_await::ch09_timer::Sleep,
    first: Option<Waker>,
}

pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { inner: under_await::ch09_timer::sleep_until(deadline), first: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let first = self.first.get_or_insert_with(|| cx.waker().clone()).clone();
        Pin::new(&mut self.inner).poll(&mut Context::from_waker(&first))
    }
}
