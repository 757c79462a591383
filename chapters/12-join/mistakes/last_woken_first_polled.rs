// [starves] several_at_once
//
// Takes the children that were woken off the end of the list, where the next look puts more. A child at its
// beginning waits until no other is woken.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use under_await::ch12_join::WokenList;

    pub struct Unordered<F>(Vec<Option<(Pin<Box<F>>, Waker)>>, Arc<WokenList>, Vec<usize>);

    impl<F: Future> Unordered<F> {
        pub fn new() -> Self {
            Unordered(Vec::new(), Arc::default(), Vec::new())
        }

        pub fn push(&mut self, future: F) {
            let number = self.0.len();
            self.0.push(Some((Box::pin(future), self.1.waker(number))));
            self.2.push(number);
        }

        pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
            self.1.look(cx.waker(), &mut self.2);
            while let Some(number) = self.2.pop() {
                let Some((future, waker)) = &mut self.0[number] else { continue };
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                    self.0[number] = None;
                    return Poll::Ready(Some(output));
                }
            }
            if self.0.iter().all(Option::is_none) { Poll::Ready(None) } else { Poll::Pending }
        }

        pub async fn next(&mut self) -> Option<F::Output> {
            std::future::poll_fn(|cx| self.poll_next(cx)).await
        }
    }
}
