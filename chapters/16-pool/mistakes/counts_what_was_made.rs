// [not-given-back] every_end_counts
//
// The guard is in the future, and there is a future when `make` has returned. If `make` panics, or is never
// called, there is no guard.

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
            let mut alive = self.alive.lock().unwrap();
            let worker = (0..alive.len()).min_by_key(|worker| alive[*worker]).unwrap();
            alive[worker] += 1;
            drop(alive);
            let alive = self.alive.clone();

            self.pool.spawn_on(worker, move || {
                let future = make();
                let leave = on_drop(move || alive.lock().unwrap()[worker] -= 1);
                async move {
                    let _leave = leave;
                    future.await
                }
            })
        }
    }
}
