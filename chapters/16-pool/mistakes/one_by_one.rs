// [waits-for-one] side_by_side
//
// The thread awaits what it has started before it starts the next. A task that waits for another one of its
// thread waits for ever.

use std::sync::Arc;

use under_await::ch14_sync::Mutex;
use under_await::ch16_pool::{self as right, JoinHandle};

pub struct Pool {
    pool: right::Pool,
    /// For each thread, the right to run on it.
    turns: Vec<Arc<Mutex<()>>>,
}

impl Pool {
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let turns = (0..threads).map(|_| Arc::new(Mutex::new(()))).collect();
        Ok(Pool { pool: right::Pool::new(threads)?, turns })
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
        let turn = self.turns[worker].clone();
        self.pool.spawn_on(worker, || async move {
            let _turn = turn.lock().await;
            make().await
        })
    }
}
