// [not-on-time] beats_do_not_drift
//
// Beats at once, and then sleeps for a period after each beat. What the beat itself takes comes on top of
// that, each time: the tenth beat is late by nine of them.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::pin;
    use std::time::Duration;

    use under_await::ch09_timer::sleep;
    use under_await::select;

    pub async fn with_heartbeat<T>(
        work: impl AsyncFn() -> T,
        period: Duration,
        mut beat: impl FnMut(),
    ) -> T {
        let (mut work, mut pause) = (pin!(work()), sleep(Duration::ZERO));
        loop {
            select! {
                output = &mut work => return output,
                () = &mut pause => beat(),
            }
            pause = sleep(period);
        }
    }
}
