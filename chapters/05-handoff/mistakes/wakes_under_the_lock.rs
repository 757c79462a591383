// [woken-under-lock] wakes_unlocked
//
// Sets and wakes, and unlocks after that, at the end of the function. A waker that polls at once, or
// wakes somebody who does, meets the lock that its own wake is holding.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

type Shared<T> = Arc<Mutex<(Option<Result<T, RecvError>>, Option<Waker>)>>;

pub struct Sender<T>(Shared<T>);
pub struct Receiver<T>(Shared<T>);

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Shared::default();
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.0.lock().unwrap();
        shared.1 = Some(cx.waker().clone());
        shared.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Sender<T> {
    pub fn send(self, value: T) -> Result<(), T> {
        let mut shared = self.0.lock().unwrap();
        shared.0 = Some(Ok(value));
        shared.1.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
