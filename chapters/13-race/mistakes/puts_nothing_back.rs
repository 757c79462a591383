// [never-woken] keeps_the_newest_waker
//
// Takes its entry out, and compares the two wakers: if they wake the same task, there is nothing to change.
// But the entry is out by then, and is not put back. Polled twice by one task, the waiter has no waker.

use std::collections::BTreeMap;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

#[derive(Clone, Default)]
pub struct CancelToken(Arc<Mutex<(bool, BTreeMap<usize, Waker>)>>);

pub struct Cancelled<'a>(&'a CancelToken, Option<usize>);

impl CancelToken {
    pub fn new() -> Self {
        CancelToken::default()
    }

    pub fn cancel(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        let waiters = mem::take(&mut state.1);
        drop(state);
        waiters.into_values().for_each(Waker::wake);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.lock().unwrap().0
    }

    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled(self, None)
    }
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let newest = cx.waker().clone();
        let mut state = self.0.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        let free = state.1.keys().next_back().map_or(0, |last| last + 1);
        let key = *self.1.get_or_insert(free);
        let older = state.1.remove(&key);
        if !older.as_ref().is_some_and(|older| older.will_wake(&newest)) {
            state.1.insert(key, newest);
        }
        drop(state);
        drop(older);
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.1 {
            let _own = self.0.0.lock().unwrap().1.remove(&key);
        }
    }
}
