// [polled-after-ready] both_outputs
//
// Polls both in every round, until both are ready in the same round. The one that is ready first
// is asked again while the other is pending, and it has nothing left to give.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::pin;
    use std::task::Poll;

    use under_await::ch01_future::poll_once;

    pub fn block_on_two<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
        let (mut a, mut b) = (pin!(a), pin!(b));
        loop {
            let answers = (poll_once(a.as_mut()), poll_once(b.as_mut()));
            if let (Poll::Ready(x), Poll::Ready(y)) = answers {
                return (x, y);
            }
        }
    }
}
