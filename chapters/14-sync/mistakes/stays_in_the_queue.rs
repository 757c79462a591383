// [piles-up] who_goes_leaves_the_queue
//
// A waiter that is dropped stays in the queue. Its waker is kept, and the lock is handed to a waiter that
// is not there any more.

use std::future::poll_fn;
use std::mem::ManuallyDrop;

use under_await::ch14_sync::{Mutex as Inner, MutexGuard};

pub struct Mutex<T>(Inner<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(Inner::new(value))
    }

    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.0.try_lock()
    }

    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        let mut lock = ManuallyDrop::new(Box::pin(self.0.lock()));
        poll_fn(move |cx| lock.as_mut().poll(cx))
    }
}
