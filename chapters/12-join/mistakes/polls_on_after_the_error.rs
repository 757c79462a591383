// [stuck] nobody_is_polled_after_the_error
//
// Polls all branches, and looks for errors after that. The answer is the right one; but a branch that comes
// after the error goes one step further, and nobody wants that step any more.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::{Context, Poll};

    pub async fn try_both<A, B, E>(
        a: impl Future<Output = Result<A, E>>,
        b: impl Future<Output = Result<B, E>>,
    ) -> Result<(A, B), E> {
        let (mut a, mut b) = (pin!(a), pin!(b));
        let (mut one, mut other) = (None, None);
        poll_fn(move |cx: &mut Context<'_>| {
            if one.is_none() {
                one = is_ready(a.as_mut().poll(cx));
            }
            if other.is_none() {
                other = is_ready(b.as_mut().poll(cx));
            }
            match (one.take(), other.take()) {
                (Some(Err(error)), _) | (_, Some(Err(error))) => Poll::Ready(Err(error)),
                (Some(Ok(a)), Some(Ok(b))) => Poll::Ready(Ok((a, b))),
                (a, b) => {
                    (one, other) = (a, b);
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn is_ready<T>(polled: Poll<T>) -> Option<T> {
        match polled {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}
