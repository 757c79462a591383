// [never-woken] an_abort_is_heard
//
// Whenever the task's turn comes, the flag is looked at. A task that waits has no turn, and an abort wakes
// nobody.

use std::pin::Pin;
use std::task::{Context, Poll};

use under_await::ch05_handoff::{Receiver, oneshot};
use under_await::ch11_task::{JoinError, spawn};
use under_await::ch13_race::CancelToken;
use under_await::ch01_future::poll_fn;

use under_await::ch16_pool as right;

pub struct Pool(right::Pool);

impl Pool {
    pub fn new(threads: usize) -> std::io::Result<Self> {
        Ok(Pool(right::Pool::new(threads)?))
    }

    pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        self.spawn_on(0, make)
    }

    pub fn spawn_on<M, F>(&self, worker: usize, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let (sender, result) = oneshot();
        let abort = CancelToken::new();
        let aborted = abort.clone();
        drop(self.0.spawn_on(worker, || async move {
            let task = spawn(async { make().await });
            let looks =
                poll_fn(|_| if aborted.is_cancelled() { Poll::Ready(()) } else { Poll::Pending });
            let _ = sender.send(right::or_abort(task, looks).await);
        }));
        JoinHandle { result, abort }
    }
}

pub struct JoinHandle<T> {
    result: Receiver<Result<T, JoinError>>,
    abort: CancelToken,
}

impl<T> JoinHandle<T> {
    pub fn abort(&self) {
        self.abort.cancel();
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.result).poll(cx);
        answer.map(|answer| answer.expect("a worker answers for each of its tasks"))
    }
}
