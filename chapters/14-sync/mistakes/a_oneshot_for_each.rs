// [not-passed-on] who_was_called_passes_it_on
//
// A queue of oneshots: unlocking sends the value to the first. A receiver that is gone gives it back. One
// that is dropped later, with the value on its way, takes it along: the mutex is locked for ever.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use under_await::ch05_handoff::{Sender as Place, oneshot};

pub struct Mutex<T>(std::sync::Mutex<(Option<T>, VecDeque<Place<T>>)>);
pub struct MutexGuard<'a, T>(&'a Mutex<T>, Option<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex((Some(value), VecDeque::new()).into())
    }

    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let value = self.0.lock().unwrap().0.take();
        value.map(|value| MutexGuard(self, Some(value))).ok_or(TryLockError)
    }

    pub async fn lock(&self) -> MutexGuard<'_, T> {
        if let Ok(guard) = self.try_lock() {
            return guard;
        }
        let (place, value) = oneshot();
        self.0.lock().unwrap().1.push_back(place);
        MutexGuard(self, value.await.ok())
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        while let Some(value) = self.1.take() {
            let mut state = self.0.0.lock().unwrap();
            let Some(first) = state.1.pop_front() else { return state.0 = Some(value) };
            drop(state);
            self.1 = first.send(value).err();
        }
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
