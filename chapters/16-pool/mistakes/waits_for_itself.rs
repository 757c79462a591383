// [stuck] the_threads_end
//
// Waits until nobody can send any more, and can send itself: it has kept what the tasks have clones of.

use under_await::ch04_park::block_on;
use under_await::ch14_sync::{Sender, channel, mpsc};
use under_await::ch16_pool::{self as right, JoinHandle};

pub struct Pool {
    alive: Sender<()>,
    all_gone: mpsc::Receiver<()>,
    pool: Option<right::Pool>,
}

impl Pool {
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let (alive, all_gone) = channel(1);
        Ok(Pool { alive, all_gone, pool: Some(right::Pool::new(threads)?) })
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
        self.pool.as_ref().expect("it is there until the end").spawn_on(worker, || async move {
            let _alive = alive;
            make().await
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Told: their tasks are dropped, each on its thread.
        self.pool = None;
        block_on(self.all_gone.recv());
    }
}
