// [polled-after-ready] two_messages_in_every_order
//
// Asks for news before it looks, and once for all the rounds of its loop. When the news is of a message that
// it has already, it goes round again, and awaits what is over.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::pin;
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
            point("ask for news");
            let news = self.0.1.notified();
            let mut news = pin!(async { news.await });
            loop {
                point("look");
                let found = self.0.0.lock().unwrap().get(self.1).cloned();
                if let Some(message) = found {
                    self.1 += 1;
                    return Ok(message);
                }
                news.as_mut().await;
            }
        }
    }
}
