// [stuck] all_hear_the_end
//
// Waits for the last task, and tells them after that. Nobody has told those that wait, and so they stay.

use under_await::ch04_park::block_on;
use under_await::ch14_sync::{Sender, channel, mpsc};
use under_await::ch16_pool::{self as right, JoinHandle};

pub struct Pool {
    alive: Option<Sender<()>>,
    all_gone: mpsc::Receiver<()>,
    /// Dropped last: this is what tells the tasks.
    pool: right::Pool,
}

impl Pool {
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let (alive, all_gone) = channel(1);
        Ok(Pool { alive: Some(alive), all_gone, pool: right::Pool::new(threads)? })
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
        let alive = self.alive.clone();
        self.pool.spawn_on(worker, || async move {
            let _alive = alive;
            make().await
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.alive = None;
        block_on(self.all_gone.recv());
    }
}
