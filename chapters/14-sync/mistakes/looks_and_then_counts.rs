// [data-lost] the_end_in_every_order
//
// Locks to take a message, finds none, unlocks, and locks again to see whether a sender is left. Between the
// two the last sender sends and goes. So it is said to be over, with a message in the queue.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::support::schedules::model::Mutex as Lock;

struct Room<T> {
    queue: VecDeque<T>,
    senders: usize,
}

pub struct Sender<T>(Arc<Lock<Room<T>>>);
pub struct Receiver<T>(Arc<Lock<Room<T>>>);

pub fn channel<T>(_: usize) -> (Sender<T>, Receiver<T>) {
    let room = Room { queue: VecDeque::new(), senders: 1 };
    let room = Arc::new(Lock::new(room));
    (Sender(room.clone()), Receiver(room))
}

impl<T> Sender<T> {
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.lock().unwrap().queue.push_back(value);
        Ok(())
    }

    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.try_send(value).map_err(|error| SendError(error.into_inner()))
    }

    pub fn is_closed(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().unwrap().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().unwrap().senders -= 1;
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let found = self.0.lock().unwrap().queue.pop_front();
        if let Some(message) = found {
            return Ok(message);
        }
        let senders = self.0.lock().unwrap().senders;
        Err(if senders == 0 { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }

    pub fn close(&mut self) {}
}
