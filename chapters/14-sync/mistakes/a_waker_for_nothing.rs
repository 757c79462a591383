// [woken-under-lock] wakes_and_drops_wakers_unlocked
//
// Locks first and clones the waker second, so the clone is dropped before the lock is free. That goes well
// as long as it goes into the queue. When the value is there, nobody needs it, and it goes at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex as Lock;
use std::task::{Poll, Waker};

pub struct Mutex<T>(Lock<(Option<T>, VecDeque<Waker>)>);
pub struct MutexGuard<'a, T>(&'a Mutex<T>, Option<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(Lock::new((Some(value), VecDeque::new())))
    }

    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let value = self.0.lock().unwrap().0.take().ok_or(TryLockError)?;
        Ok(MutexGuard(self, Some(value)))
    }

    pub async fn lock(&self) -> MutexGuard<'_, T> {
        poll_fn(|cx| {
            let mut list = self.0.lock().unwrap();
            let waker = cx.waker().clone();
            match list.0.take() {
                Some(value) => Poll::Ready(MutexGuard(self, Some(value))),
                None => {
                    list.1.push_back(waker);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        let mut list = self.0.0.lock().unwrap();
        list.0 = self.1.take();
        let first = list.1.pop_front();
        drop(list);
        first.into_iter().for_each(Waker::wake);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.1.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.1.as_mut().unwrap()
    }
}
