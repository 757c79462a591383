// [lost-progress] the_work_is_begun_once
//
// Makes the future in the branch. Whenever the other branch wins it is dropped, and the next turn makes a
// new one, which begins at the beginning.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::time::Duration;

    use under_await::ch09_timer::interval;
    use under_await::select;

    pub async fn with_heartbeat<T>(
        work: impl AsyncFn() -> T,
        period: Duration,
        mut beat: impl FnMut(),
    ) -> T {
        let mut ticks = interval(period);
        loop {
            select! {
                output = work() => return output,
                _ = ticks.tick() => beat(),
            }
        }
    }
}
