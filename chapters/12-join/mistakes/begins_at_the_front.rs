// [waits-for-one] everybody_has_a_turn
//
// The version to mend, as it was found. As long as the first child uses up all there is for a poll, the
// others are asked in vain.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::task::{Context, Poll};

    use under_await::ch12_join::{MaybeDone, maybe_done};

    pub struct Fair<F: Future>(Vec<Pin<Box<MaybeDone<F>>>>, usize);

    pub fn join_fairly<F: Future>(futures: impl IntoIterator<Item = F>) -> Fair<F> {
        Fair(futures.into_iter().map(|future| Box::pin(maybe_done(future))).collect(), 0)
    }

    impl<F: Future> Future for Fair<F> {
        type Output = Vec<F::Output>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let Fair(children, first) = &mut *self;
            let _ = first;
            let pending = children.iter_mut().filter_map(|child| match child.as_mut().poll(cx) {
                Poll::Ready(()) => None,
                Poll::Pending => Some(()),
            });
            if pending.count() > 0 {
                return Poll::Pending;
            }
            Poll::Ready(
                children.iter_mut().filter_map(|child| child.as_mut().take_output()).collect(),
            )
        }
    }
}
