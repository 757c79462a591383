// [wrong-result] over_though_a_sender_was_called
//
// The channel is closed, and a sender was called for room before that: it is on its way, so its message is
// waited for. But it finds the channel closed and sends nothing, and it wakes nobody to say so.

use std::sync::Arc;

use under_await::ch14_sync as layer;

pub struct Sender<T>(layer::Sender<T>, Arc<()>);
pub struct Receiver<T>(layer::Receiver<T>, Arc<()>);

pub fn channel<T>(n: usize) -> (Sender<T>, Receiver<T>) {
    let ((sender, receiver), sending) = (layer::channel(n), Arc::new(()));
    (Sender(sender, sending.clone()), Receiver(receiver, sending))
}

impl<T> Sender<T> {
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        let _on_its_way = self.1.clone();
        self.0.send(value).await
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let on_their_way = Arc::strong_count(&self.1) > 2;
        self.0.try_recv().map_err(|end| if on_their_way { TryRecvError::Empty } else { end })
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
