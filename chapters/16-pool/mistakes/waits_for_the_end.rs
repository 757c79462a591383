// [stuck] the_task_may_be_first
//
// One await after the other: first the end, then the task. What comes of a task is not given out before
// somebody orders its end.

use under_await::ch11_task::{JoinError, JoinHandle};

pub async fn or_abort<T>(task: JoinHandle<T>, end: impl Future) -> Result<T, JoinError> {
    end.await;
    task.abort();
    task.await
}
