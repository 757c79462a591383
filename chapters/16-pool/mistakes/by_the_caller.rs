// [wrong-result] in_turn
//
// Four tasks go to one thread before it is the next one's turn, so that they are close to each other. And each
// thread that calls counts by itself.

use std::cell::Cell;

use under_await::ch16_pool::{self as right, JoinHandle};

thread_local! {
    static NEXT: Cell<usize> = const { Cell::new(0) };
}

pub struct Pool {
    pool: right::Pool,
}

impl Pool {
    pub fn new(threads: usize) -> std::io::Result<Self> {
        Ok(Pool { pool: right::Pool::new(threads)? })
    }

    pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let turn = NEXT.replace(NEXT.get() + 1);
        self.spawn_on(turn / 4 % self.pool.threads(), make)
    }

    pub fn spawn_on<M, F>(&self, worker: usize, make: M) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        self.pool.spawn_on(worker, make)
    }
}
