// [not-given-back] the_room_stays_the_same
//
// A sender waits for room only if the channel is full. So room is made only when a message is taken from a
// full channel, and not otherwise. The room of the other messages is gone for good.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as Lock};

use under_await::ch14_sync as layer;

type Shared<T> = Arc<(layer::Semaphore, Lock<VecDeque<T>>, usize)>;

pub struct Sender<T>(Shared<T>);
pub struct Receiver<T>(Shared<T>);

pub fn channel<T>(n: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new((layer::Semaphore::new(n), Lock::new(VecDeque::new()), n));
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.0.0.try_acquire() {
            Err(TryAcquireError::NoPermits) => return Err(TrySendError::Full(value)),
            Err(TryAcquireError::Closed) => return Err(TrySendError::Closed(value)),
            Ok(room) => room.forget(),
        }
        self.0.1.lock().unwrap().push_back(value);
        Ok(())
    }

    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.0.0.acquire().await {
            Err(_) => return Err(SendError(value)),
            Ok(room) => room.forget(),
        }
        self.0.1.lock().unwrap().push_back(value);
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.0.0.try_acquire(), Err(TryAcquireError::Closed))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut messages = self.0.1.lock().unwrap();
        let was_full = messages.len() == self.0.2;
        let message = messages.pop_front().ok_or(TryRecvError::Empty)?;
        drop(messages);
        if was_full {
            self.0.0.add_permits(1);
        }
        Ok(message)
    }

    pub fn close(&mut self) {
        self.0.0.close();
    }
}
