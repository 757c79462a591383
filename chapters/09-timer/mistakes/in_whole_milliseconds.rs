// [not-on-time] to_the_nanosecond
//
// `Skip`, counted in milliseconds. A period of 2.5 ms becomes one of 2, and the timetable is lost.

pub mod extend {
    use std::time::{Duration, Instant};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn next_tick(missed: MissedTicks, due: Instant, now: Instant, period: Duration) -> Instant {
        let next = due + period;
        match missed {
            _ if next > now => next,
            MissedTicks::Burst => next,
            MissedTicks::Delay => now + period,
            MissedTicks::Skip => {
                let into_period = (now - due).as_millis() % period.as_millis().max(1);
                now + period - Duration::from_millis(into_period as u64)
            }
        }
    }
}
