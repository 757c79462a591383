// [still-there] the_end_may_be_first
//
// Hears of the end, and goes on to wait for the task. Nobody has told that one.

use under_await::ch11_task::{JoinError, JoinHandle};
use under_await::ch13_race::{Either, race};

pub async fn or_abort<T>(mut task: JoinHandle<T>, end: impl Future) -> Result<T, JoinError> {
    match race(&mut task, end).await {
        Either::Left(outcome) => outcome,
        Either::Right(_) => task.await,
    }
}
