// [old-waker] the_newest_waker_is_kept
//
// Leaves a waker at the first poll, and is content with it. Whoever polls later, in another task, is
// not the one that is woken.

use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{Context, Waker};

use under_await::ch07_select as layer;

pub async fn readable(io: &impl AsFd) -> io::Result<()> {
    let (mut wait, mut first) = (pin!(layer::readable(io)), None::<Waker>);
    std::future::poll_fn(|cx| {
        let waker = first.get_or_insert_with(|| cx.waker().clone());
        wait.as_mut().poll(&mut Context::from_waker(waker))
    })
    .await
}
