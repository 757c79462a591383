// [starves] a_slow_beat_starves_nobody
//
// The tick stands first, after `biased;`. When a beat takes longer than the time to the next one, the next
// one is always due and always wins, and the work is never asked.

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
                biased;
                _ = ticks.tick() => beat(),
                output = &mut work => return output,
            }
        }
    }
}
