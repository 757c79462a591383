// [out-of-step] one_after_the_other
//
// Polls both at every poll. That is a `join`, and may be what is wanted elsewhere; `a.await` means
// that nothing after it has begun.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    pub struct AddTwo<A, B> { #[pin] a: A, x: Option<u32>, #[pin] b: B, y: Option<u32> }
}

pub fn add_two<A, B>(a: A, b: B) -> AddTwo<A, B> {
    AddTwo { a, x: None, b, y: None }
}

impl<A: Future<Output = u32>, B: Future<Output = u32>> Future for AddTwo<A, B> {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let both = self.project();
        if both.x.is_none()
            && let Poll::Ready(x) = both.a.poll(cx)
        {
            *both.x = Some(x);
        }
        if both.y.is_none()
            && let Poll::Ready(y) = both.b.poll(cx)
        {
            *both.y = Some(y);
        }
        match (*both.x, *both.y) {
            (Some(x), Some(y)) => Poll::Ready(x + y),
            _ => Poll::Pending,
        }
    }
}
