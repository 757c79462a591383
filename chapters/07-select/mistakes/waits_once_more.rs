// [stuck] ready_when_its_waker_is_gone
//
// Leaves a waker at every poll, and answers `Pending` at every poll. That the waker it left before is gone would
// have been the news it waits for.

use std::io;
use std::os::fd::AsFd;

use under_await::ch07_select as layer;

pub async fn readable(io: &impl AsFd) -> io::Result<()> {
    loop {
        layer::readable(io).await?;
    }
}
