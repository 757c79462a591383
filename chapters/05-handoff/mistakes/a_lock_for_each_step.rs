// [lost-wake] a_hand_off_in_every_order
//
// Locks to look, unlocks, and locks again to leave the waker. Each lock is right on its own, but
// what is sent between the two finds no waker.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::support::schedules::model::Mutex;

type Shared<T> = Arc<Mutex<(Option<Result<T, RecvError>>, Option<Waker>)>>;

pub struct Sender<T>(Shared<T>);
pub struct Receiver<T>(Shared<T>);

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new((None, None)));
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let found = self.0.lock().unwrap().0.take();
        if let Some(answer) = found {
            return Poll::Ready(answer);
        }
        let newest = cx.waker().clone();
        let _older = self.0.lock().unwrap().1.replace(newest);
        Poll::Pending
    }
}

impl<T> Sender<T> {
    pub fn send(self, value: T) -> Result<(), T> {
        let mut shared = self.0.lock().unwrap();
        shared.0 = Some(Ok(value));
        let waker = shared.1.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
