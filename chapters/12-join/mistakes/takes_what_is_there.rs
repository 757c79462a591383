// [panicked] three_in_any_order
//
// Takes the outputs in every poll, and is ready when it has got three. Those that it gets before that go
// with the poll that took them.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use under_await::ch12_join::maybe_done;

    pub async fn join3<A: Future, B: Future, C: Future>(
        a: A,
        b: B,
        c: C,
    ) -> (A::Output, B::Output, C::Output) {
        let (mut a, mut b, mut c) = (pin!(maybe_done(a)), pin!(maybe_done(b)), pin!(maybe_done(c)));
        poll_fn(|cx| {
            let _ = (a.as_mut().poll(cx), b.as_mut().poll(cx), c.as_mut().poll(cx));
            match (a.as_mut().take_output(), b.as_mut().take_output(), c.as_mut().take_output()) {
                (Some(a), Some(b), Some(c)) => Poll::Ready((a, b, c)),
                _ => Poll::Pending,
            }
        })
        .await
    }
}
