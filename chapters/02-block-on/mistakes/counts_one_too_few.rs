// [wrong-result] just_enough_polls
//
// Looks at the limit after the poll and before the answer: the last poll allowed is made, and its
// answer is thrown away.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::pin;
    use std::task::Poll;
    use under_await::ch01_future::poll_once;

    pub fn block_on_at_most<F: Future>(future: F, polls: u64) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut made = 0;
        while made < polls {
            let answer = poll_once(future.as_mut());
            made += 1;
            if made == polls {
                return None;
            }
            if let Poll::Ready(output) = answer {
                return Some(output);
            }
        }
        None
    }
}
