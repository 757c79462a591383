// [polled-after-ready] keeps_its_output
//
// Keeps the output in a place beside the future, and keeps the future too. The next poll polls the future that is
// done.

use std::pin::Pin;
use std::task::{Context, Poll};

pub struct MaybeDone<F: Future>(Pin<Box<F>>, Option<Box<F::Output>>);

pub fn maybe_done<F: Future>(future: F) -> MaybeDone<F> {
    MaybeDone(Box::pin(future), None)
}

impl<F: Future> Future for MaybeDone<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.0.as_mut().poll(cx) {
            Poll::Ready(output) => self.1 = Some(Box::new(output)),
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(())
    }
}

impl<F: Future> MaybeDone<F> {
    pub fn take_output(mut self: Pin<&mut Self>) -> Option<F::Output> {
        self.1.take().map(|output| *output)
    }
}
