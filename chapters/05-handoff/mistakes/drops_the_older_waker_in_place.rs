// [woken-under-lock] drops_the_older_waker_unlocked
//
// Stores the newest waker in one assignment. That drops the waker that was there, under the lock;
// and if it was the last one of its task, the task is dropped there too, with all that it owns.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

pub struct Sender<T>(Arc<Mutex<Option<Waker>>>, PhantomData<fn(T)>);
pub struct Receiver<T>(Arc<Mutex<Option<Waker>>>, PhantomData<fn() -> T>);

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let waker = Arc::default();
    (Sender(Arc::clone(&waker), PhantomData), Receiver(waker, PhantomData))
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        *self.0.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }
}

// The rest is left out: the check does not come so far.
impl<T> Sender<T> {
    pub fn send(self, _value: T) -> Result<(), T> {
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}
