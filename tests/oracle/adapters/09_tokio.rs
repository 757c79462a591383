// tokio's timers under the checks of chapter 9, on one thread. The map, the wheel and the timeout in
// milliseconds are ours.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Theirs are made inside of a runtime, and may be polled anywhere.
fn inside<T>(f: impl FnOnce() -> T) -> T {
    RUNTIME.with(|runtime| {
        let _inside = runtime.enter();
        f()
    })
}

pub struct Sleep(Pin<Box<tokio::time::Sleep>>);

pub fn sleep(duration: Duration) -> Sleep {
    Sleep(inside(|| Box::pin(tokio::time::sleep(duration))))
}

pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep(inside(|| Box::pin(tokio::time::sleep_until(deadline.into()))))
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

pub mod extend {
    use tokio::time::{Interval, MissedTickBehavior, interval};

    pub use super::super::reference::subject::extend::*;
    use super::*;

    pub struct Ticker(Interval);

    impl Ticker {
        pub fn new(period: Duration, missed: MissedTicks) -> Self {
            let mut ticker = inside(|| interval(period));
            ticker.set_missed_tick_behavior(match missed {
                MissedTicks::Burst => MissedTickBehavior::Burst,
                MissedTicks::Delay => MissedTickBehavior::Delay,
                MissedTicks::Skip => MissedTickBehavior::Skip,
            });
            Ticker(ticker)
        }

        pub async fn tick(&mut self) -> Instant {
            self.0.tick().await.into_std()
        }
    }
}
