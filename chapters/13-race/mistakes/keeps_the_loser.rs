// [still-there] the_loser_is_dropped_first
//
// Hands the answer on and keeps both futures until the race itself is dropped. The loser's connection
// stays open, its lock stays locked, its timer goes on, while the winner's answer is being used.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pub fn race<A: IntoFuture, B: IntoFuture>(a: A, b: B) -> Race<A::IntoFuture, B::IntoFuture> {
    Race { a: a.into_future(), b: b.into_future() }
}

pin_project! {
    pub struct Race<A, B> {
        #[pin]
        a: A,
        #[pin]
        b: B,
    }
}

impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.a.poll(cx) {
            return Poll::Ready(Either::Left(output));
        }
        Poll::Ready(Either::Right(ready!(this.b.poll(cx))))
    }
}
