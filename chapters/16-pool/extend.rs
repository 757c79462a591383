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
        // ANCHOR: todo_16_4 count it where the fewest are, until it is over, in whatever way
        let mut alive = self.alive.lock().unwrap();
        let fewest = alive.iter().enumerate().min_by_key(|(_, alive)| **alive);
        let (worker, _) = fewest.expect("a pool has a thread or more");
        alive[worker] += 1;
        drop(alive);
        let alive = self.alive.clone();
        // The closure has it from the start: it may be dropped without a call, and `make` may panic.
        let leave = on_drop(move || alive.lock().unwrap()[worker] -= 1);
        self.pool.spawn_on(worker, move || {
            let future = make();
            async move {
                let _leave = leave;
                future.await
            }
        })
        // ANCHOR_END: todo_16_4
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
        // ANCHOR: todo_16_5 wait until nobody can send any more, for so long at most; then drop the pool
        let Draining { pool, alive, mut all_gone } = self;
        // Ours is a sender too.
        drop(alive);
        let end = timeout(grace, all_gone.recv()).await;
        drop(pool);
        end.map(drop)
        // ANCHOR_END: todo_16_5
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
        // ANCHOR: todo_16_6 let the other tasks of this thread have their turn; then a job, or news
        loop {
            // They may have been taken from here, and have not begun yet; or they were woken while this
            // one waited.
            yield_now().await;
            // Before the look: what is added after it is told to us.
            let news = self.news();
            if let Some(job) = self.take() {
                return job;
            }
            news.await;
        }
        // ANCHOR_END: todo_16_6
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
