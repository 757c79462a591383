// [wrong-result] fair_outputs_are_in_order
//
// Puts the first child behind the last one at every poll, which is short, and fair. But the outputs come in the
// order in which the children stand in the end.

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
            let mut all_done = true;
            for child in children.iter_mut() {
                all_done &= child.as_mut().poll(cx).is_ready();
            }
            if !all_done {
                children.rotate_left(1);
                return Poll::Pending;
            }
            Poll::Ready(
                children.iter_mut().filter_map(|child| child.as_mut().take_output()).collect(),
            )
        }
    }
}
