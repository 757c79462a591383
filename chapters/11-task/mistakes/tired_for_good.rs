// [wrong-result] each_time_the_whole_budget
//
// Lets others in when the budget is used up, and does not fill it up again. From then on every item
// costs a turn of the whole queue.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::task::Poll;

    use futures::stream::{self, Stream, StreamExt};

    pub fn unhurried<S: Stream + Unpin>(mut stream: S) -> impl Stream<Item = S::Item> + Unpin {
        let mut left = BUDGET;
        stream::poll_fn(move |cx| {
            if left == 0 {
                left = 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let polled = stream.poll_next_unpin(cx);
            left = if polled.is_ready() { left - 1 } else { BUDGET };
            polled
        })
    }
}
