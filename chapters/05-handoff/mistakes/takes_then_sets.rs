// [lost-wake] a_hand_off_in_every_order
//
// Takes the waker, unlocks, and locks again to set. A poll in between leaves its waker behind the
// back of a sender that has already looked for one.

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
        let newest = cx.waker().clone();
        let mut shared = self.0.lock().unwrap();
        let _older = shared.1.replace(newest);
        shared.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Sender<T> {
    pub fn send(self, value: T) -> Result<(), T> {
        let waker = self.0.lock().unwrap().1.take();
        self.0.lock().unwrap().0 = Some(Ok(value));
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
