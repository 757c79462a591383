// [never-woken] a_wake_for_every_pending
//
// Answers `Pending` and leaves it at that. It works as long as somebody polls without being asked
// to, and sleeps for ever under an executor that waits for the wake.

use std::pin::Pin;
use std::task::{Context, Poll};

pub struct Countdown {
    left: Option<u32>,
}

impl Countdown {
    pub fn new(n: u32) -> Self {
        Countdown { left: Some(n) }
    }
}

impl Future for Countdown {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let left = self.left.expect("`Countdown` polled after it was ready");
        self.left = left.checked_sub(1);
        match left {
            0 => Poll::Ready("liftoff"),
            _ => Poll::Pending,
        }
    }
}
