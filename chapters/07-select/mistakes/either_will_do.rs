// [wrong-result] each_direction_by_itself
//
// Asks for both directions, and takes either for the one that was wanted.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;

use under_await::ch07_select as layer;
use under_await::yield_now;

pub async fn writable(io: &impl AsFd) -> io::Result<()> {
    let (mut read, mut write) = (pin!(layer::readable(io)), pin!(layer::writable(io)));
    poll_fn(|cx| {
        let read = read.as_mut().poll(cx);
        if read.is_ready() { read } else { write.as_mut().poll(cx) }
    })
    .await
}

// It waits for the socket too, in a map of its own, and hears of it at the same sleep.
pub async fn readable(_: &impl AsFd) -> io::Result<()> {
    yield_now().await;
    Ok(())
}
