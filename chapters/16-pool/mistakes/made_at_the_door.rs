// [panicked] one_panics_alone
//
// The job calls `make`, and spawns the future. A panic in `make` is then a panic of the loop that starts the
// jobs, and the thread is gone, with all that was on it.

use std::pin::Pin;
use std::task::{Context, Poll};

use under_await::ch05_handoff::{Receiver, oneshot};
use under_await::ch11_task::{JoinError, spawn};
use under_await::ch13_race::CancelToken;
use under_await::ch14_sync::{UnboundedSender, unbounded};
use under_await::ch16_pool as right;

type Job = Box<dyn FnOnce() + Send>;

pub struct Pool(right::Pool, Vec<UnboundedSender<Job>>);

impl Pool {
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let pool = right::Pool::new(threads)?;
        let jobs = (0..threads).map(|worker| {
            let (jobs, mut received) = unbounded::<Job>();
            drop(pool.spawn_on(worker, || async move {
                while let Some(job) = received.recv().await {
                    job();
                }
            }));
            jobs
        });
        let jobs = jobs.collect();
        Ok(Pool(pool, jobs))
    }

    pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        self.spawn_on(0, make)
    }

    // ANCHOR: spawn_on
    pub fn spawn_on<M, F>(&self, worker: usize, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let (sender, result) = oneshot();
        let abort = CancelToken::new();
        let aborted = abort.clone();
        let job = move || {
            let task = spawn(make());
            drop(spawn(async move {
                let _ = sender.send(right::or_abort(task, aborted.cancelled()).await);
            }));
        };
        let sent = self.1[worker].send(Box::new(job));
        sent.expect("a worker listens as long as there is a pool");
        JoinHandle { result, abort }
    }
    // ANCHOR_END: spawn_on
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
