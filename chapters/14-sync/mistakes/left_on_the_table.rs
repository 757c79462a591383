// [overtaken] nobody_overtakes
//
// The unlocking task puts the value back where anybody finds it, and wakes all waiters to run for it. One
// that happens to come by is faster than they are, and a slow waiter never gets it.

use under_await::ch14_sync::{Mutex as Inner, MutexGuard as InnerGuard};

pub struct Mutex<T>(Inner<T>, Notify);
pub struct MutexGuard<'a, T>(Option<InnerGuard<'a, T>>, &'a Notify);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(Inner::new(value), Notify::new())
    }

    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        Ok(MutexGuard(Some(self.0.try_lock()?), &self.1))
    }

    pub async fn lock(&self) -> MutexGuard<'_, T> {
        loop {
            let unlocked = self.1.notified();
            match self.try_lock() {
                Ok(guard) => return guard,
                Err(_) => unlocked.await,
            }
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.0 = None;
        self.1.notify_waiters();
    }
}

impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().unwrap()
    }
}

impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap()
    }
}
