// [panicked] all_hear_the_end
//
// When no more jobs will come, the thread leaves. Its runtime drops what is left on it, and nobody is there
// any more to say so.

use std::pin::Pin;
use std::task::{Context, Poll};

use under_await::ch05_handoff::{Receiver, oneshot};
use under_await::ch11_task::{JoinError, spawn};
use under_await::ch13_race::CancelToken;

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
        // In place of a job: this is over at once, and nobody waits for what it has spawned.
        drop(self.0.spawn_on(worker, || async {
            spawn(async move {
                let task = spawn(async { make().await });
                let _ = sender.send(right::or_abort(task, aborted.cancelled()).await);
            });
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
