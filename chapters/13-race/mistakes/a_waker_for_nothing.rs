// [woken-under-lock] older_wakers_go_unlocked
//
// Locks first and clones the waker second, so the clone is dropped before the lock is free. That goes well
// as long as it is left with the token. When the token is cancelled, nobody needs it, and it goes at once.

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
        let mut state = self.0.0.lock().unwrap();
        let newest = cx.waker().clone();
        if state.0 {
            return Poll::Ready(());
        }
        let free = state.1.keys().next_back().map_or(0, |last| last + 1);
        let older = state.1.insert(*self.1.get_or_insert(free), newest);
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
