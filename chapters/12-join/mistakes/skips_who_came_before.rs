// [never-polled] the_turn_goes_round
//
// Begins one further on each time, and ends at the end: the children before that beginning are not polled at all.
// When all of them wait for a wake, the wake may be for one of those.

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
            let mut all_done = true;
            for child in &mut children[*first..] {
                all_done &= child.as_mut().poll(cx).is_ready();
            }
            *first = (*first + 1) % children.len();
            if !all_done || *first != 0 {
                return Poll::Pending;
            }
            Poll::Ready(
                children.iter_mut().filter_map(|child| child.as_mut().take_output()).collect(),
            )
        }
    }
}
