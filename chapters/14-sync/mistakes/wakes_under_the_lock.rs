// [woken-under-lock] wakes_and_drops_wakers_unlocked
//
// One big lock around all of it, for safety's sake; and it is held while the next waiter is woken.

use std::sync::Mutex as Lock;

use under_await::ch14_sync::{Mutex as Inner, MutexGuard as InnerGuard};

pub struct Mutex<T>(Inner<T>, Lock<()>);
pub struct MutexGuard<'a, T>(Option<InnerGuard<'a, T>>, &'a Lock<()>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(Inner::new(value), Lock::new(()))
    }

    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let _all = self.1.lock().unwrap();
        Ok(MutexGuard(Some(self.0.try_lock()?), &self.1))
    }

    pub async fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().await), &self.1)
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        let _all = self.1.lock().unwrap();
        self.0 = None;
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
