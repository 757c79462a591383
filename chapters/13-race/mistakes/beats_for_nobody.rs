// [wrong-result] no_beat_after_the_end_of_the_work
//
// Leaves it to chance who is asked first. When the work is ready and a beat is due, every second time the
// beat wins: whoever looks for a sign of life sees one of work that is over.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::pin;
    use std::time::Duration;

    use under_await::ch09_timer::interval;
    use under_await::select;

    pub async fn with_heartbeat<T>(
        work: impl AsyncFn() -> T,
        period: Duration,
        mut beat: impl FnMut(),
    ) -> T {
        let (mut work, mut ticks) = (pin!(work()), interval(period));
        loop {
            select! {
                output = &mut work => return output,
                _ = ticks.tick() => beat(),
            }
        }
    }
}
