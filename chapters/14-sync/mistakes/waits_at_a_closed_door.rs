// [wrong-result] a_closed_channel
//
// It is over when the last sender is gone, and as long as there is one, there may be a message. Nobody looks
// whether the channel was closed: a sender that cannot send any more is waited for.

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
        let over = self.1.strong_count() == 0;
        let end = if over { TryRecvError::Disconnected } else { TryRecvError::Empty };
        self.0.try_recv().map_err(|_| end)
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
