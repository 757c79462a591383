// [lost-wake] a_wake_during_the_poll_counts
//
// Polls a child that was woken, and clears its mark after that: even if the child was woken again while it was
// being polled.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use under_await::ch03_waker::waker_fn;

type Marks = Arc<Mutex<(Vec<bool>, Option<Waker>)>>;

pub struct JoinAll<F: Future>(Vec<Result<F::Output, Pin<Box<F>>>>, Marks);

pub fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> JoinAll<F> {
    let children = futures.into_iter().map(|child| Err(Box::pin(child))).collect::<Vec<_>>();
    let marks = Arc::new(Mutex::new((vec![true; children.len()], None)));
    JoinAll(children, marks)
}

impl<F: Future<Output: Unpin>> Future for JoinAll<F> {
    type Output = Vec<F::Output>;

    // ANCHOR: poll
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let JoinAll(children, marks) = &mut *self;
        marks.lock().unwrap().1 = Some(cx.waker().clone());
        let woken = marks.lock().unwrap().0.clone();
        for (n, child) in children.iter_mut().enumerate().filter(|(n, _)| woken[*n]) {
            let Err(future) = child else { continue };
            if let Poll::Ready(output) =
                future.as_mut().poll(&mut Context::from_waker(&waker(marks, n)))
            {
                *child = Ok(output);
            }
            marks.lock().unwrap().0[n] = false;
        }
        if children.iter().any(Result::is_err) {
            return Poll::Pending;
        }
        Poll::Ready(children.drain(..).filter_map(Result::ok).collect())
    }
    // ANCHOR_END: poll
}

fn waker(marks: &Marks, child: usize) -> Waker {
    let marks = marks.clone();
    waker_fn(move || {
        marks.lock().unwrap().0[child] = true;
        let parent = marks.lock().unwrap().1.take();
        parent.into_iter().for_each(Waker::wake);
    })
}
