// [lost-wake] nobody_sleeps_beside_a_job
//
// Lets others have their turn first. But it looks, and then asks to be told: what is added in between is
// told to nobody.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::collections::VecDeque;

    use under_await::ch01_future::yield_now;
    use under_await::ch14_sync::Notify;

    use crate::support::schedules::{model::Mutex as Lock, point};

    pub struct Queue<J> {
        jobs: Lock<VecDeque<J>>,
        news: Notify,
    }

    impl<J> Queue<J> {
        pub fn new() -> Self {
            Queue { jobs: Lock::new(VecDeque::new()), news: Notify::new() }
        }

        pub fn push(&self, job: J) {
            point("add a job");
            self.jobs.lock().unwrap().push_back(job);
            point("tell all");
            self.news.notify_waiters();
        }

        pub fn waiting(&self) -> usize {
            self.jobs.lock().unwrap().len()
        }

        fn take(&self) -> Option<J> {
            point("look for a job");
            self.jobs.lock().unwrap().pop_front()
        }

        fn news(&self) -> impl Future<Output = ()> {
            point("ask for news");
            self.news.notified()
        }

        pub async fn next(&self) -> J {
            yield_now().await;
            loop {
                if let Some(job) = self.take() {
                    return job;
                }
                self.news().await;
            }
        }
    }
}
