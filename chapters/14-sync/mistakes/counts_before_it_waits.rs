// [data-lost] a_dropped_recv_takes_none
//
// Counts the message before it waits for it. A `recv` that is dropped while it waits has counted a message
// that nobody got, and the next `recv` waits for the one after it.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::sync::{Arc, Mutex};

    use crate::support::schedules::point;
    use under_await::ch14_sync::Notify;

    type Shared<T> = Arc<(Mutex<Vec<T>>, Notify)>;

    pub struct Broadcast<T>(Shared<T>);
    pub struct Subscriber<T>(Shared<T>, usize);

    impl<T: Clone> Broadcast<T> {
        pub fn new(_: usize) -> Self {
            Broadcast(Arc::new((Mutex::new(Vec::new()), Notify::new())))
        }

        pub fn send(&self, message: T) {
            point("add the message");
            self.0.0.lock().unwrap().push(message);
            point("tell all");
            self.0.1.notify_waiters();
        }

        pub fn subscribe(&self) -> Subscriber<T> {
            Subscriber(self.0.clone(), self.0.0.lock().unwrap().len())
        }
    }

    impl<T: Clone> Subscriber<T> {
        pub async fn recv(&mut self) -> Result<T, RecvError> {
            let next = self.1;
            self.1 += 1;
            loop {
                point("ask for news");
                let news = self.0.1.notified();
                point("look");
                let found = self.0.0.lock().unwrap().get(next).cloned();
                match found {
                    Some(message) => return Ok(message),
                    None => news.await,
                }
            }
        }
    }
}
