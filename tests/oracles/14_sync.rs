// Other people's right answers to the checks of this chapter, where they have the same thing: futures
// has a mutex and a channel. Its mutex wakes the first who waits and lets others overtake it; its
// channel has, beside the room for all, a room for each sender. It has no semaphore and no notify.

use futures::channel::mpsc as theirs;
use futures::StreamExt;

pub use futures::lock::MutexGuard;

pub struct Mutex<T>(futures::lock::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(futures::lock::Mutex::new(value))
    }

    pub async fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().await
    }

    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.0.try_lock().ok_or(TryLockError)
    }
}

pub struct Sender<T>(theirs::Sender<T>);
pub struct UnboundedSender<T>(theirs::UnboundedSender<T>);

pub enum Receiver<T> {
    Bounded(theirs::Receiver<T>),
    Unbounded(theirs::UnboundedReceiver<T>),
}

pub fn channel<T>(n: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = theirs::channel(n);
    (Sender(sender), Receiver::Bounded(receiver))
}

pub fn unbounded<T>() -> (UnboundedSender<T>, Receiver<T>) {
    let (sender, receiver) = theirs::unbounded();
    (UnboundedSender(sender), Receiver::Unbounded(receiver))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        UnboundedSender(self.0.clone())
    }
}

impl<T> Sender<T> {
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut sender = self.0.clone();
        if sender.is_closed() || futures::future::poll_fn(|cx| sender.poll_ready(cx)).await.is_err() {
            return Err(SendError(value));
        }
        sender.try_send(value).map_err(|error| SendError(error.into_inner()))
    }

    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.clone().try_send(value).map_err(|error| match error.is_full() {
            true => TrySendError::Full(error.into_inner()),
            false => TrySendError::Closed(error.into_inner()),
        })
    }

    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T> UnboundedSender<T> {
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.unbounded_send(value).map_err(|error| SendError(error.into_inner()))
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let got = match self {
            Receiver::Bounded(receiver) => receiver.try_recv(),
            Receiver::Unbounded(receiver) => receiver.try_recv(),
        };
        got.map_err(|error| match error {
            theirs::TryRecvError::Closed => TryRecvError::Disconnected,
            theirs::TryRecvError::Empty => TryRecvError::Empty,
        })
    }

    pub async fn recv(&mut self) -> Option<T> {
        match self {
            Receiver::Bounded(receiver) => receiver.next().await,
            Receiver::Unbounded(receiver) => receiver.next().await,
        }
    }

    pub fn close(&mut self) {
        match self {
            Receiver::Bounded(receiver) => receiver.close(),
            Receiver::Unbounded(receiver) => receiver.close(),
        }
    }
}
