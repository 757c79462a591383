// [stuck] three_in_any_order
//
// Is ready only when one poll gives all three outputs. An output that it gets before that is dropped with the poll
// in which it came, and no future can give it again.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    pub async fn join3<A: Future, B: Future, C: Future>(
        a: A,
        b: B,
        c: C,
    ) -> (A::Output, B::Output, C::Output) {
        let (mut a, mut b, mut c) = (Some(Box::pin(a)), Some(Box::pin(b)), Some(Box::pin(c)));
        poll_fn(|cx| match (take(&mut a, cx), take(&mut b, cx), take(&mut c, cx)) {
            (Some(a), Some(b), Some(c)) => Poll::Ready((a, b, c)),
            _ => Poll::Pending,
        })
        .await
    }

    fn take<F: Future>(slot: &mut Option<Pin<Box<F>>>, cx: &mut Context<'_>) -> Option<F::Output> {
        let Poll::Ready(output) = slot.as_mut()?.as_mut().poll(cx) else { return None };
        *slot = None;
        Some(output)
    }
}
