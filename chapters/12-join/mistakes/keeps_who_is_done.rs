// [leak] who_is_done_goes
//
// Notes beside the futures which of them are done, and keeps these too. A connection in one of them stays open as
// long as the set exists.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use under_await::ch12_join::WokenList;

    pub struct Unordered<F>(Vec<(Pin<Box<F>>, Waker, bool)>, Arc<WokenList>, Vec<usize>);

    impl<F: Future> Unordered<F> {
        pub fn new() -> Self {
            Unordered(Vec::new(), Arc::default(), Vec::new())
        }

        pub fn push(&mut self, future: F) {
            let number = self.0.len();
            self.0.push((Box::pin(future), self.1.waker(number), false));
            self.2.push(number);
        }

        pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
            self.1.look(cx.waker(), &mut self.2);
            while !self.2.is_empty() {
                let number = self.2.remove(0);
                let (future, waker, is_done) = &mut self.0[number];
                let cx = &mut Context::from_waker(waker);
                if !*is_done && let Poll::Ready(output) = future.as_mut().poll(cx) {
                    *is_done = true;
                    return Poll::Ready(Some(output));
                }
            }
            if self.0.iter().all(|child| child.2) { Poll::Ready(None) } else { Poll::Pending }
        }

        pub async fn next(&mut self) -> Option<F::Output> {
            std::future::poll_fn(|cx| self.poll_next(cx)).await
        }
    }
}
