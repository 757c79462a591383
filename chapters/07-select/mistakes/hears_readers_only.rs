// [never-woken] each_direction_by_itself
//
// Looks at the first of the two sets that `select` has left, and never at the second. Whoever waits to
// write has left a waker, and nobody comes for it.

use std::future::pending;
use std::io;
use std::os::fd::AsFd;

pub async fn writable(_: &impl AsFd) -> io::Result<()> {
    pending().await
}
