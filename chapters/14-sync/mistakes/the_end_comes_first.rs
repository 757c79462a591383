// [data-lost] the_end_comes_last
//
// Looks whether any sender is left, finds none, and says that it is over. What the senders had sent before
// they were dropped is still in the queue, and nobody gets it.

use std::sync::{Arc, Weak};

use under_await::ch14_sync as layer;

pub struct Sender<T>(layer::Sender<T>, Arc<()>);
pub struct Receiver<T>(layer::Receiver<T>, Weak<()>);

pub fn channel<T>(n: usize) -> (Sender<T>, Receiver<T>) {
    let ((sender, receiver), here) = (layer::channel(n), Arc::new(()));
    let seen = Arc::downgrade(&here);
    (Sender(sender, here), Receiver(receiver, seen))
}

impl<T> Receiver<T> {
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if self.1.strong_count() == 0 {
            return Err(TryRecvError::Disconnected);
        }
        self.0.try_recv()
    }

    pub fn close(&mut self) {
        self.0.close();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone(), self.1.clone())
    }
}

impl<T> std::ops::Deref for Sender<T> {
    type Target = layer::Sender<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
