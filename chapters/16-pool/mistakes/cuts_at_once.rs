// [too-early] waits_for_the_last
//
// Drops the pool, and then waits until all tasks are gone. They are, and not because they had come to
// their ends.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::time::Duration;

    use under_await::ch09_timer::{Elapsed, timeout};
    use under_await::ch14_sync::{Sender, channel, mpsc};
    use under_await::ch16_pool::{JoinHandle, Pool};

    pub struct Draining {
        pool: Pool,
        alive: Sender<()>,
        all_gone: mpsc::Receiver<()>,
    }

    impl Draining {
        pub fn new(threads: usize) -> std::io::Result<Self> {
            let (alive, all_gone) = channel(1);
            Ok(Draining { pool: Pool::new(threads)?, alive, all_gone })
        }

        pub fn spawn<M, F>(&self, make: M) -> JoinHandle<F::Output>
        where
            M: FnOnce() -> F + Send + 'static,
            F: Future<Output: Send + 'static> + 'static,
        {
            let alive = self.alive.clone();
            self.pool.spawn(move || async move {
                let _alive = alive;
                make().await
            })
        }

        pub async fn finish(mut self, grace: Duration) -> Result<(), Elapsed> {
            drop((self.pool, self.alive));
            timeout(grace, self.all_gone.recv()).await.map(drop)
        }
    }
}
