// [woken-under-lock] older_wakers_go_unlocked
//
// `insert` hands the older waker back, and this line drops it while the lock is held. It may be the last
// waker of its task. What the task owned is dropped with it, and that may use the token.

use std::collections::BTreeMap;
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
        self.0.lock().unwrap().0 = true;
        let waiters = std::mem::take(&mut self.0.lock().unwrap().1);
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
        state.1.insert(*self.1.get_or_insert(free), newest);
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.1 {
            self.0.0.lock().unwrap().1.remove(&key);
        }
    }
}
