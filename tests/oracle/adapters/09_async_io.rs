// smol's timers under the checks of chapter 9. They fire on the thread that waits, or on one of
// async-io's. The map, the wheel, the ticker and the timeout in milliseconds are ours.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_io::Timer;

pub use async_io::block_on;

pub struct Sleep(Timer);

pub fn sleep(duration: Duration) -> Sleep {
    Sleep(Timer::after(duration))
}

pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep(Timer::at(deadline))
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}
