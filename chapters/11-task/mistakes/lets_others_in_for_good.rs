// [never-woken] asks_for_its_next_turn
//
// Says `Pending` when the budget is used up, and leaves it at that. The wrapped stream was ready, so it
// will wake nobody.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::task::Poll;

    use futures::stream::{self, Stream, StreamExt};

    pub fn unhurried<S: Stream + Unpin>(mut stream: S) -> impl Stream<Item = S::Item> + Unpin {
        let mut left = BUDGET;
        stream::poll_fn(move |cx| {
            if left == 0 {
                left = BUDGET;
                return Poll::Pending;
            }
            left -= 1;
            stream.poll_next_unpin(cx)
        })
    }
}
