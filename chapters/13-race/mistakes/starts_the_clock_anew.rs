// [not-on-time] the_limit_is_the_limit
//
// Makes its sleep anew each time it is polled, so the limit counts from the latest wake. That limits a
// silence, and not the whole: a peer that sends one byte now and then is waited for without end.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;
    use std::time::Duration;

    use under_await::ch09_timer::{Elapsed, sleep};

    pub async fn timeout<F: IntoFuture>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future.into_future());
        let mut silence = sleep(limit);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if Pin::new(&mut silence).poll(cx).is_ready() {
                return Poll::Ready(Err(Elapsed));
            }
            silence = sleep(limit);
            Pin::new(&mut silence).poll(cx).map(|()| Err(Elapsed))
        })
        .await
    }
}
