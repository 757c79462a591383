// [polled-after-ready] the_task_may_be_first
//
// Once the race is over, the task is aborted and awaited, whoever has won. If it was the task, its handle
// has given its result already.

use under_await::ch11_task::{JoinError, JoinHandle};
use under_await::ch13_race::race;

pub async fn or_abort<T>(mut task: JoinHandle<T>, end: impl Future) -> Result<T, JoinError> {
    race(&mut task, end).await;
    task.abort();
    task.await
}
