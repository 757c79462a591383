// futures' `LocalPool` on each thread: many tasks, and no reactor. What it has no handles for is put
// together from `Abortable`, `catch_unwind` and channels.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{AbortHandle, Abortable, Aborted, Either, FutureExt, ready, select};
use futures::task::LocalSpawnExt;

use under_await::ch11_task as theirs;

type Payload = Box<dyn std::any::Any + Send>;
type Job = Box<dyn FnOnce(&LocalSpawner) -> AbortHandle + Send>;

pub async fn or_abort<T>(
    task: theirs::JoinHandle<T>,
    end: impl Future,
) -> Result<T, theirs::JoinError> {
    match select(task, pin!(end)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((_, task)) => {
            task.abort();
            task.await
        }
    }
}

pub struct Pool {
    workers: Vec<(mpsc::UnboundedSender<Job>, thread::JoinHandle<()>)>,
    next: AtomicUsize,
}

impl Pool {
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let start = |_| {
            let (jobs, received) = mpsc::unbounded();
            (jobs, thread::spawn(|| work(received)))
        };
        Ok(Pool { workers: (0..threads).map(start).collect(), next: AtomicUsize::new(0) })
    }

    pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.spawn_on(turn % self.workers.len(), make)
    }

    pub fn spawn_on<M, F>(&self, worker: usize, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let (abort, registration) = AbortHandle::new_pair();
        let aborts = abort.clone();
        let job = move |spawner: &LocalSpawner| {
            let task = AssertUnwindSafe(async { make().await }).catch_unwind();
            let task = Abortable::new(task, registration);
            let answers = async { drop(sender.send(task.await)) };
            spawner.spawn_local(answers).expect("the pool is there");
            aborts
        };
        self.workers[worker].0.unbounded_send(Box::new(job)).expect("the thread is there");
        JoinHandle { receiver, abort }
    }
}

fn work(jobs: mpsc::UnboundedReceiver<Job>) {
    let mut pool = LocalPool::new();
    let (spawner, mut aborts) = (pool.spawner(), Vec::new());
    pool.run_until(jobs.for_each(|job| {
        aborts.push(job(&spawner));
        ready(())
    }));
    aborts.iter().for_each(AbortHandle::abort);
    pool.run();
}

impl Drop for Pool {
    fn drop(&mut self) {
        let threads = self.workers.drain(..).map(|(_, thread)| thread).collect::<Vec<_>>();
        for thread in threads.into_iter().filter(|one| one.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

pub struct JoinHandle<T> {
    receiver: oneshot::Receiver<Result<Result<T, Payload>, Aborted>>,
    abort: AbortHandle,
}

impl<T> JoinHandle<T> {
    pub fn abort(&self) {
        self.abort.abort();
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, theirs::JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_unpin(cx).map(|result| match result.expect("there is an answer") {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(panic)) => Err(error(Some(panic))),
            Err(Aborted) => Err(error(None)),
        })
    }
}

/// The book's error, made by a task of the book's that ends in this way.
fn error(panic: Option<Payload>) -> theirs::JoinError {
    theirs::block_on(async {
        let aborts = panic.is_none();
        let task = theirs::spawn(async { panic.map(|panic| -> () { resume_unwind(panic) }) });
        if aborts {
            task.abort();
        }
        task.await.expect_err("it panics, or is aborted")
    })
}
