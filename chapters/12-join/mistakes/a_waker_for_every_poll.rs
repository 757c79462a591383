// [allocates] no_waker_is_made_twice
//
// Makes the child's waker when it polls the child. Each poll costs an allocation, and no child can see that it
// has the right waker already.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use under_await::ch12_join::{self, MaybeDone};

pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let children = futures.into_iter().map(|future| Box::pin(ch12_join::maybe_done(future)));
    let mut children = children.collect::<Vec<_>>();
    let list = Arc::new(ch12_join::WokenList::default());
    let (mut woken, mut left) = (Vec::from_iter(0..children.len()), children.len());
    poll_fn(|cx| {
        list.look(cx.waker(), &mut woken);
        for number in woken.drain(..) {
            let (child, waker) = (&mut children[number], list.waker(number));
            let is_done = matches!(**child, MaybeDone::Done { .. });
            if !is_done && child.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                left -= 1;
            }
        }
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    children.iter_mut().filter_map(|child| child.as_mut().take_output()).collect()
}
