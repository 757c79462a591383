// [old-waker] wakes_the_newest_and_no_other
//
// Keeps the waker of the first poll and is content with it. Between two polls the receiver may have
// moved into another task; then the task it came from is woken, and the one that waits is not.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use under_await::ch05_handoff as layer;
pub use under_await::ch05_handoff::Sender;

pub struct Receiver<T> {
    inner: layer::Receiver<T>,
    waker: Option<Waker>,
}

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, inner) = layer::oneshot();
    (sender, Receiver { inner, waker: None })
}

// ANCHOR: poll
impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = self.waker.get_or_insert_with(|| cx.waker().clone()).clone();
        Pin::new(&mut self.inner).poll(&mut Context::from_waker(&waker))
    }
}
// ANCHOR_END: poll
