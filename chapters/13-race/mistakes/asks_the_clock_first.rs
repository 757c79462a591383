// [wrong-result] ready_at_the_last_moment
//
// Asks the clock before the future. When both are ready, say after a busy moment of the thread, the work is
// done and thrown away: the caller hears that it took too long.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::time::Duration;

    use under_await::ch09_timer::{Elapsed, sleep};
    use under_await::ch13_race::{Either, race};

    pub async fn timeout<F: IntoFuture>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        match race(sleep(limit), future).await {
            Either::Left(()) => Err(Elapsed),
            Either::Right(output) => Ok(output),
        }
    }
}
