// [lost-wake] several_at_once
//
// Takes the children that were woken into a variable of its own, and returns with the first output. Those behind
// it on the list are dropped with the variable, and nobody wakes them again.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use under_await::ch12_join::WokenList;

    pub struct Unordered<F>(Vec<Option<Pin<Box<F>>>>, Arc<WokenList>);

    impl<F: Future> Unordered<F> {
        pub fn new() -> Self {
            Unordered(Vec::new(), Arc::default())
        }

        pub fn push(&mut self, future: F) {
            self.0.push(Some(Box::pin(future)));
            self.1.waker(self.0.len() - 1).wake();
        }

        // ANCHOR: poll_next
        pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
            let mut woken = Vec::new();
            self.1.look(cx.waker(), &mut woken);
            for n in woken {
                let (Some(future), waker) = (&mut self.0[n], self.1.waker(n)) else { continue };
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    self.0[n] = None;
                    return Poll::Ready(Some(output));
                }
            }
            if self.0.iter().all(Option::is_none) { Poll::Ready(None) } else { Poll::Pending }
        }
        // ANCHOR_END: poll_next

        pub async fn next(&mut self) -> Option<F::Output> {
            std::future::poll_fn(|cx| self.poll_next(cx)).await
        }
    }
}
