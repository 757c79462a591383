// [wrong-result] two_at_once
//
// Looks where the fewest are, and then adds one there. The lock is free in between, and another one finds the
// same.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::sync::Arc;

    use under_await::ch13_race::on_drop;

    use under_await::ch16_pool::{JoinHandle, Pool};

    use crate::support::schedules::model::Mutex as Lock;

    pub struct LeastLoaded {
        pool: Pool,
        alive: Arc<Lock<Vec<usize>>>,
    }

    impl LeastLoaded {
        pub fn new(threads: usize) -> std::io::Result<Self> {
            let alive = Arc::new(Lock::new(vec![0; threads]));
            Ok(LeastLoaded { pool: Pool::new(threads)?, alive })
        }

        pub fn alive(&self) -> Vec<usize> {
            self.alive.lock().unwrap().clone()
        }

        pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
        where
            M: FnOnce() -> F + Send + 'static,
            F: Future<Output: Send + 'static> + 'static,
        {
            let seen = self.alive();
            let worker = (0..seen.len()).min_by_key(|worker| seen[*worker]).unwrap();
            self.alive.lock().unwrap()[worker] += 1;
            let alive = self.alive.clone();
            let leave = on_drop(move || alive.lock().unwrap()[worker] -= 1);
            self.pool.spawn_on(worker, move || {
                let future = make();
                async move {
                    let _leave = leave;
                    future.await
                }
            })
        }
    }
}
