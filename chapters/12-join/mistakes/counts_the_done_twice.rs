// [wrong-result] a_wake_after_its_end_polls_nobody
//
// Takes every child on the list for one that is not done. A child that is woken after its end is ready again and
// is counted again, so the join ends one output short.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use under_await::ch12_join;

pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let children = futures.into_iter().map(|future| Box::pin(ch12_join::maybe_done(future)));
    let mut children = children.collect::<Vec<_>>();
    let list = Arc::new(ch12_join::WokenList::default());
    let wakers = (0..children.len()).map(|child| list.waker(child)).collect::<Vec<_>>();
    let (mut woken, mut left) = (Vec::from_iter(0..children.len()), children.len());
    poll_fn(|cx| {
        list.look(cx.waker(), &mut woken);
        for child in woken.drain(..) {
            let cx = &mut Context::from_waker(&wakers[child]);
            left -= usize::from(children[child].as_mut().poll(cx).is_ready());
        }
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    children.iter_mut().filter_map(|child| child.as_mut().take_output()).collect()
}
