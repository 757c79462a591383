//! # Layer 16 · many threads
//!
//! **Before.** The server of `ch15_serve` has one thread: while one client's request computes, all
//! the others wait, and the other cores have nothing to do.
//!
//! **Idea.** Share nothing. Every thread has a runtime of its own, with its tasks, its timers and its
//! reactor. What goes from one thread to another is no future, but the closure that makes it.
//!
//! **Invariants.**
//! 1. *Made here:* a future is made, polled and dropped on one thread. So it need not be `Send`.
//! 2. *In turn:* each thread gets as many tasks as any other; and what a task spawns stays with it.
//! 3. *All hear:* every handle gets an answer: the output of its task, or why there is none.
//! 4. *Nothing stays:* when a pool has been dropped, its tasks and its threads are gone.
//!
//! **Still wrong.** A task that computes, or that reads a file, still holds up the others of its
//! thread: they cannot go elsewhere, because they have begun.

#![forbid(unsafe_code)]

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;

use crate::ch04_park;
use crate::ch05_handoff::{Receiver, oneshot};
use crate::ch08_poll::Root;
use crate::ch11_task::{self, JoinError, block_on, spawn};
use crate::ch13_race::{CancelToken, Either, race};
use crate::ch14_sync::{Sender, UnboundedSender, channel, mpsc, unbounded};

/// Threads that run tasks, each with a runtime of its own.
///
/// Dropped, it drops its tasks, each on its thread and when its turn comes, and waits until the
/// threads have ended; in one of its own tasks it does not wait for the thread of that. What has not
/// begun by then is not begun.
///
/// ```
/// use std::rc::Rc;
/// use under_await::{block_on, Pool, yield_now};
///
/// let pool = Pool::new(2)?;
/// // The closure goes to another thread. What it makes never leaves that.
/// let sum = pool.spawn(|| async {
///     let one = Rc::new(1);
///     yield_now().await;
///     *one + 2
/// });
/// assert_eq!(block_on(sum).unwrap(), 3);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Pool {
    /// The threads.
    workers: Vec<Worker>,
    /// How many tasks were given out in turn.
    next: AtomicUsize,
}

/// A thread of a pool.
#[derive(Debug)]
struct Worker {
    /// What it is to start. When this is gone, it ends.
    jobs: UnboundedSender<Job>,
    /// Cancelled when the pool is dropped.
    gone: CancelToken,
    /// The thread.
    thread: thread::JoinHandle<()>,
}

/// Starts a task, on whichever thread it is called.
type Job = Box<dyn FnOnce(&Ending) + Send>;

/// What the tasks of a worker hear, and are heard by.
#[derive(Clone)]
struct Ending {
    /// Cancelled when they are to end.
    token: CancelToken,
    /// Each has a clone. When all are gone, all tasks have ended.
    alive: Sender<()>,
}

// ANCHOR: or_abort
/// What comes of `task`, which is aborted when `end` is ready. Dropped, it leaves the task to itself.
pub async fn or_abort<T>(
    mut task: ch11_task::JoinHandle<T>,
    end: impl Future,
) -> Result<T, JoinError> {
    // ANCHOR: todo_16_1 whichever is first; a task that was aborted has an outcome too
    match race(&mut task, end).await {
        Either::Left(outcome) => outcome,
        Either::Right(_) => {
            task.abort();
            task.await
        }
    }
    // ANCHOR_END: todo_16_1
}
// ANCHOR_END: or_abort

// ANCHOR: spawn
impl Pool {
    /// Has a thread call `make`, and run the future that it makes. The threads take turns. What is not
    /// `Send` may be in the future, but not in the closure.
    pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.spawn_on(turn % self.workers.len(), make)
    }
}
// ANCHOR_END: spawn

// ANCHOR: spawn_on
impl Pool {
    /// The same on the thread of this number, from 0 on. Panics if there is no such thread.
    pub fn spawn_on<M, F>(&self, worker: usize, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        // ANCHOR: todo_16_2 a job that spawns a task there; it runs `make`, and sends what came of it
        let (abort, (sender, result)) = (CancelToken::new(), oneshot());
        let aborted = abort.clone();
        self.workers[worker].give(move |ending| {
            let Ending { token, alive } = ending.clone();
            spawn(async move {
                let end = race(aborted.cancelled(), token.cancelled());
                let outcome = or_abort(spawn(async { make().await }), end).await;
                drop((sender.send(outcome), alive)); // Perhaps nobody wants to know.
            });
        });
        JoinHandle { result, abort }
        // ANCHOR_END: todo_16_2
    }
}
// ANCHOR_END: spawn_on

impl Pool {
    /// A pool of so many threads. Fails when the system has no thread, or no reactor, for one of them.
    ///
    /// # Panics
    /// When `threads` is 0.
    pub fn new(threads: usize) -> io::Result<Self> {
        assert!(threads > 0, "a pool has a thread or more");
        let mut pool = Pool { workers: Vec::new(), next: AtomicUsize::new(0) };
        for _ in 0..threads {
            // If this one fails, the pool is dropped, and with it those that run.
            pool.workers.push(Worker::start()?);
        }
        Ok(pool)
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.workers.len()
    }
}

// ANCHOR: Drop_for_Pool
impl Drop for Pool {
    fn drop(&mut self) {
        // First all of them hear of it, then each is waited for.
        let told = self.workers.drain(..).map(|Worker { thread, gone, .. }| {
            gone.cancel();
            thread
        });
        for thread in told.collect::<Vec<_>>() {
            if thread.thread().id() != thread::current().id() {
                // If it has panicked, that has been reported.
                let _ = thread.join();
            }
        }
    }
}
// ANCHOR_END: Drop_for_Pool

impl Worker {
    /// Starts a thread, and waits until it has a reactor.
    fn start() -> io::Result<Self> {
        let (jobs, received) = unbounded();
        let (gone, (sender, reactor)) = (CancelToken::new(), oneshot());
        let pool_gone = gone.clone();
        let run = move || {
            // Made here, it is the thread's from now on.
            let reactor = Root::new().map(drop);
            let made = reactor.is_ok();
            // An error would mean that nobody waits, but `start` does.
            let _ = sender.send(reactor);
            if made {
                block_on(work(received, pool_gone));
            }
        };
        let thread = thread::Builder::new().spawn(run)?;
        ch04_park::block_on(reactor).expect("the thread says how it went")?;
        Ok(Worker { jobs, gone, thread })
    }

    /// Gives it something to start.
    fn give(&self, job: impl FnOnce(&Ending) + Send + 'static) {
        let sent = self.jobs.send(Box::new(job));
        sent.expect("a worker listens as long as there is a pool");
    }
}

// ANCHOR: work
/// What a thread of a pool does: it starts the tasks that it gets, and ends them when there is no pool
/// any more.
async fn work(mut jobs: mpsc::Receiver<Job>, gone: CancelToken) {
    let (alive, mut all_gone) = channel(1);
    let ending = Ending { token: CancelToken::new(), alive };
    while let Some(job) = jobs.recv().await {
        if gone.is_cancelled() {
            // There may be many more, and none of them is to begin.
            ending.token.cancel();
        }
        job(&ending);
    }
    // ANCHOR: todo_16_3 no more will come: tell the tasks, and wait for the last
    ending.token.cancel();
    drop(ending);
    all_gone.recv().await;
    // ANCHOR_END: todo_16_3
}
// ANCHOR_END: work

/// Awaits a task of a pool, from any thread: a future of its output. Dropped, it leaves the task to
/// itself. Cancel safe: awaited by reference, it may be awaited again. Panics when it is polled after
/// it was ready, and when its worker has panicked because the system refuses to wait.
#[derive(Debug)]
pub struct JoinHandle<T> {
    /// Where the answer comes.
    result: Receiver<Outcome<T>>,
    /// Cancelled, if the task is to end.
    abort: CancelToken,
}

/// The output of a task, or why there is none.
type Outcome<T> = Result<T, JoinError>;

impl<T> JoinHandle<T> {
    /// Has the task dropped, on its thread and when its turn comes. One that is over stays as it is.
    pub fn abort(&self) {
        self.abort.cancel();
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.result).poll(cx);
        answer.map(|answer| answer.expect("a worker answers for each of its tasks"))
    }
}
