// [not-on-time] it_beats_at_once_and_in_its_time
//
// A `sleep` in place of the interval: it is made anew in each turn and counts from there. The first beat is
// late by a whole period, and each later one by as long as the beat before it took.

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
        let mut work = pin!(work());
        loop {
            select! {
                output = &mut work => return output,
                () = sleep(period) => beat(),
            }
        }
    }
}
