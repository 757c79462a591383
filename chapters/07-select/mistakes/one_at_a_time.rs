// [waits-for-one] one_sleep_for_all_that_is_ready
//
// Waits for one descriptor after the other. The others have to wait for the first, and for a sleep of
// their own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::task::{Poll, Waker};

use under_await::ch07_select as layer;

thread_local!(static TURN: RefCell<(bool, Vec<Waker>)> = const { RefCell::new((false, Vec::new())) });

pub async fn readable(io: &impl AsFd) -> io::Result<()> {
    poll_fn(|cx| {
        TURN.with_borrow_mut(|(taken, others)| {
            if !std::mem::replace(taken, true) {
                return Poll::Ready(());
            }
            others.push(cx.waker().clone());
            Poll::Pending
        })
    })
    .await;
    let result = layer::readable(io).await;
    let others = TURN.with_borrow_mut(std::mem::take).1;
    others.into_iter().for_each(Waker::wake);
    result
}
