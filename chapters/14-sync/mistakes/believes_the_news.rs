// [data-lost] two_messages_in_every_order
//
// Asks first and looks second, as it should. Then it is told that there is news, and takes it for granted
// that the news is new to it. But the news may be of the message that it found the last time.

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
            point("ask for news");
            let news = self.0.1.notified();
            if self.look().is_none() {
                news.await;
            }
            let message = self.look().ok_or(RecvError::Closed)?;
            self.1 += 1;
            Ok(message)
        }

        fn look(&self) -> Option<T> {
            point("look");
            self.0.0.lock().unwrap().get(self.1).cloned()
        }
    }
}
