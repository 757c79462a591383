// [polled-after-ready] adds
//
// Keeps no state between two polls: each one starts over with `a`, which was ready in the poll
// before.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pin_project! {
    pub struct AddTwo<A, B> { #[pin] a: A, #[pin] b: B }
}

pub fn add_two<A, B>(a: A, b: B) -> AddTwo<A, B> {
    AddTwo { a, b }
}

impl<A: Future<Output = u32>, B: Future<Output = u32>> Future for AddTwo<A, B> {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let both = self.project();
        let x = ready!(both.a.poll(cx));
        let y = ready!(both.b.poll(cx));
        Poll::Ready(x + y)
    }
}
