// [waits-for-one] takes_one_when_it_has_time
//
// The version of the repair as it was found. To take a job takes no time: the thread takes the next before the
// first has begun, and so it takes all. While it is busy with the first, the others wait, and other threads
// find an empty queue.

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

        // ANCHOR: next
        pub async fn next(&self) -> J {
            loop {
                if let Some(job) = self.take() {
                    return job;
                }
                self.news().await;
            }
        }
        // ANCHOR_END: next
    }
}
