// [piles-up] who_goes_on_leaves_nothing
//
// Every waiter is written down, and crossed out only if it is dropped while it waits. One that goes on
// stays in the list, which grows as long as the program runs.

use std::sync::Mutex as Lock;

use under_await::ch14_sync::{Mutex as Inner, MutexGuard};

pub struct Mutex<T>(Inner<T>, Lock<Vec<u64>>);

struct Written<'a>(&'a Lock<Vec<u64>>, u64);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(Inner::new(value), Lock::new(Vec::new()))
    }

    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.0.try_lock()
    }

    pub async fn lock(&self) -> MutexGuard<'_, T> {
        if let Ok(guard) = self.try_lock() {
            return guard;
        }
        let mut list = self.1.lock().unwrap();
        let ticket = list.last().map_or(0, |latest| latest + 1);
        list.push(ticket);
        drop(list);
        let written = Written(&self.1, ticket);
        let guard = self.0.lock().await;
        std::mem::forget(written);
        guard
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().retain(|ticket| *ticket != self.1);
    }
}
