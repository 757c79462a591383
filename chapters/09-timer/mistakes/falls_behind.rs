// [not-on-time] a_little_late
//
// The next tick is a period from now, always. A tick is taken a little after it was due, every time, so
// the lateness adds up: after an hour of 10 ms ticks that are 0.1 ms late, 36 seconds.

pub mod extend {
    use std::time::{Duration, Instant};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn next_tick(missed: MissedTicks, due: Instant, now: Instant, period: Duration) -> Instant {
        match missed {
            MissedTicks::Burst => due + period,
            MissedTicks::Delay | MissedTicks::Skip => now + period,
        }
    }
}
