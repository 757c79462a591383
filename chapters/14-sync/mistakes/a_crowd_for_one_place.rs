// [overtaken] room_goes_to_who_waits
//
// When a message is taken, all senders that wait are woken, and try again. One of them finds room: the one
// that is polled first. With a thousand of them, each message costs a thousand polls.

use std::sync::Arc;

use under_await::ch14_sync as layer;

pub struct Sender<T>(layer::Sender<T>, Arc<layer::Notify>);
pub struct Receiver<T>(layer::Receiver<T>, Arc<layer::Notify>);

pub fn channel<T>(n: usize) -> (Sender<T>, Receiver<T>) {
    let ((sender, receiver), room) = (layer::channel(n), Arc::new(layer::Notify::new()));
    (Sender(sender, room.clone()), Receiver(receiver, room))
}

impl<T> Sender<T> {
    pub async fn send(&self, mut value: T) -> Result<(), SendError<T>> {
        loop {
            let room = self.1.notified();
            match self.0.try_send(value) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(back)) => return Err(SendError(back)),
                Err(TrySendError::Full(back)) => value = back,
            }
            room.await;
        }
    }
}

impl<T> std::ops::Deref for Sender<T> {
    type Target = layer::Sender<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone(), self.1.clone())
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let got = self.0.try_recv();
        self.1.notify_waiters();
        got
    }

    pub fn close(&mut self) {
        self.0.close();
        self.1.notify_waiters();
    }
}
