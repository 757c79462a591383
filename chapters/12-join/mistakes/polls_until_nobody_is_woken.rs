// [waits-for-one] a_poll_is_one_round
//
// Looks at the list again after each round, and goes on as long as a child stands there. A child that wakes
// itself in every poll always does, so the poll of the join has no end.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use under_await::ch12_join::{self, MaybeDone};

pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let children = futures.into_iter().map(|future| Box::pin(ch12_join::maybe_done(future)));
    let mut children = children.collect::<Vec<_>>();
    let list = Arc::new(ch12_join::WokenList::default());
    let wakers = (0..children.len()).map(|child| list.waker(child)).collect::<Vec<_>>();
    let mut woken = Vec::from_iter(0..children.len());
    poll_fn(|cx| {
        list.look(cx.waker(), &mut woken);
        while let Some(child) = woken.pop() {
            let _ = children[child].as_mut().poll(&mut Context::from_waker(&wakers[child]));
            list.look(cx.waker(), &mut woken);
        }
        let mut children = children.iter();
        let all_done = children.all(|child| matches!(**child, MaybeDone::Done { .. }));
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    children.iter_mut().filter_map(|child| child.as_mut().take_output()).collect()
}
