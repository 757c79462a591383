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
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;

use under_await::ch04_park;
use under_await::ch05_handoff::{Receiver, oneshot};
use under_await::ch08_poll::Root;
use under_await::ch11_task::{self, JoinError, block_on, spawn};
use under_await::ch13_race::{CancelToken, Either, race};
use under_await::ch14_sync::{Sender, UnboundedSender, channel, mpsc, unbounded};

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

/// What comes of `task`, which is aborted when `end` is ready. Dropped, it leaves the task to itself.
pub async fn or_abort<T>(
    mut task: ch11_task::JoinHandle<T>,
    end: impl Future,
) -> Result<T, JoinError> {
    todo!("16.1: whichever is first; a task that was aborted has an outcome too")
}

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

impl Pool {
    /// The same on the thread of this number, from 0 on. Panics if there is no such thread.
    pub fn spawn_on<M, F>(&self, worker: usize, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        todo!("16.2: a job that spawns a task there; it runs `make`, and sends what came of it")
    }
}

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
    todo!("16.3: no more will come: tell the tasks, and wait for the last")
}

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

/// What the chapter does not show.
pub mod extend {
    // What chapter 16 asks beyond its layer.
    //
    // The lock here is from `support/schedules.rs`. It does what std's does, and stops each time it is to be
    // taken, for the checks that play two sides in every order.

    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Duration;

    use under_await::ch01_future::yield_now;
    use under_await::ch05_handoff::{Receiver, oneshot};
    use under_await::ch09_timer::{Elapsed, timeout};
    use under_await::ch11_task::spawn;
    use under_await::ch13_race::on_drop;
    use under_await::ch14_sync::{Sender, channel, mpsc};

    pub use self::steps::Queue;
    use super::{JoinHandle, Pool};
    use crate::support::schedules::model::Mutex as Lock;

    /// A pool that gives each task to the thread with the fewest.
    #[derive(Debug)]
    pub struct LeastLoaded {
        pool: Pool,
        /// For each thread, how many of its tasks are alive: spawned, and not over.
        alive: Arc<Lock<Vec<usize>>>,
    }

    impl LeastLoaded {
        /// A pool of so many threads.
        pub fn new(threads: usize) -> io::Result<Self> {
            Ok(LeastLoaded { pool: Pool::new(threads)?, alive: Arc::new(Lock::new(vec![0; threads])) })
        }

        /// For each thread, how many of its tasks are alive.
        pub fn alive(&self) -> Vec<usize> {
            self.alive.lock().unwrap().clone()
        }

        /// As `Pool::spawn`, on the thread with the fewest tasks that are alive; of several, on the first.
        pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
        where
            M: FnOnce() -> F + Send + 'static,
            F: Future<Output: Send + 'static> + 'static,
        {
            todo!("16.4: count it where the fewest are, until it is over, in whatever way")
        }
    }

    /// A pool whose end waits for its tasks.
    #[derive(Debug)]
    pub struct Draining {
        pool: Pool,
        /// Each task has a clone until it is over. Nothing is sent.
        alive: Sender<()>,
        /// Receives `None` when there is no sender any more.
        all_gone: mpsc::Receiver<()>,
    }

    impl Draining {
        /// A pool of so many threads.
        pub fn new(threads: usize) -> io::Result<Self> {
            let (alive, all_gone) = channel(1);
            Ok(Draining { pool: Pool::new(threads)?, alive, all_gone })
        }

        /// As `Pool::spawn`.
        pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
        where
            M: FnOnce() -> F + Send + 'static,
            F: Future<Output: Send + 'static> + 'static,
        {
            let alive = self.alive.clone();
            self.pool.spawn(move || {
                let future = make();
                async move {
                    let _alive = alive;
                    future.await
                }
            })
        }

        /// Waits until all tasks are over. Those that are not after `grace` are dropped, and the answer is an
        /// error. In both cases the pool is gone by then: that stops this thread until the pool's threads have
        /// ended, and a task that computes is waited for. Dropped before, it drops the pool.
        pub async fn finish(self, grace: Duration) -> Result<(), Elapsed> {
            todo!("16.5: wait until nobody can send any more, for so long at most; then drop the pool")
        }
    }

    /// What a queue holds: a closure that was not called. It is `Send`, and can go to any thread.
    pub type Job = Box<dyn FnOnce() -> Begun + Send>;

    /// What it makes: a future that stays on its thread, for nobody says that it is `Send`. To take what has
    /// begun from one thread to another, there would have to be `+ Send` here, and every future with an `Rc`
    /// in it would be turned down.
    pub type Begun = Pin<Box<dyn Future<Output = ()>>>;

    /// The steps of the queue. What it consists of is seen in here only: a look or a question that is none of these
    /// steps would be one at which no check can let others come in between.
    mod steps {
        use std::collections::VecDeque;

        use under_await::ch14_sync::Notify;

        use crate::support::schedules::{model::Mutex as Lock, point};

        /// One queue for all threads. The checks stop at each of its steps, to let others come in between.
        #[derive(Debug)]
        pub struct Queue<J> {
            jobs: Lock<VecDeque<J>>,
            /// Notifies all, after something was added.
            added: Notify,
        }

        impl<J> Queue<J> {
            /// An empty queue.
            pub fn new() -> Self {
                Queue { jobs: Lock::new(VecDeque::new()), added: Notify::new() }
            }

            /// Adds a job, and tells all threads: who has time first takes it.
            pub fn push(&self, job: J) {
                point("add a job");
                self.jobs.lock().unwrap().push_back(job);
                // One would not do: the thread of the first that waits may be busy.
                point("tell all");
                self.added.notify_waiters();
            }

            /// How many jobs nobody has taken.
            pub fn waiting(&self) -> usize {
                self.jobs.lock().unwrap().len()
            }

            /// Takes the first job, if there is one.
            pub(super) fn take(&self) -> Option<J> {
                point("look for a job");
                self.jobs.lock().unwrap().pop_front()
            }

            /// Asks for news, now: the future is ready when something is added after this.
            pub(super) fn news(&self) -> impl Future<Output = ()> {
                point("ask for news");
                self.added.notified()
            }
        }
    }

    impl<J> Queue<J> {
        /// Waits until this thread has time and there is a job, and takes it. To be repaired: see
        /// `next_hastily`.
        pub async fn next(&self) -> J {
            todo!("16.6: let the other tasks of this thread have their turn; then a job, or news")
        }

        /// The version to mend, as it stood in `next`.
        pub async fn next_hastily(&self) -> J {
            loop {
                if let Some(job) = self.take() {
                    return job;
                }
                self.news().await;
            }
        }
    }

    impl<J> Default for Queue<J> {
        fn default() -> Self {
            Queue::new()
        }
    }

    /// A pool whose threads have one queue for all of them.
    #[allow(missing_debug_implementations)] // Closures have none.
    pub struct OneQueue {
        /// The closures that nobody has called.
        queue: Arc<Queue<Job>>,
        /// Its threads take them from there.
        _pool: Pool,
    }

    impl OneQueue {
        /// A pool of so many threads.
        pub fn new(threads: usize) -> io::Result<Self> {
            let (queue, pool) = (Arc::<Queue<Job>>::default(), Pool::new(threads)?);
            for worker in 0..threads {
                let queue = queue.clone();
                drop(pool.spawn_on(worker, move || work(queue)));
            }
            Ok(OneQueue { queue, _pool: pool })
        }

        /// Has the thread that has time first call `make`, and run the future. The receiver gets its
        /// output, or an error if it panicked or the pool was dropped.
        pub fn spawn<M, F>(&self, make: M) -> Receiver<F::Output>
        where
            M: FnOnce() -> F + Send + 'static,
            F: Future<Output: Send + 'static> + 'static,
        {
            let (sender, result) = oneshot();
            self.queue.push(Box::new(move || {
                Box::pin(async move {
                    // An error means that nobody wants to know.
                    let _ = sender.send(make().await);
                })
            }));
            result
        }
    }

    /// What each thread does: it takes a job when it has time, and runs it beside those that it has.
    pub async fn work(queue: Arc<Queue<Job>>) {
        loop {
            let job = queue.next().await;
            drop(spawn(job()));
        }
    }
}
