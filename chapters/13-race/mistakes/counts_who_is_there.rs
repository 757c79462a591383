// [lost-wake] who_is_dropped_leaves_nothing
//
// The key of a new waiter is the number of waiters that are there. When one from the middle has left, that
// key belongs to another: the new waker takes the place of one that is still needed.

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

// ANCHOR: counts
impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        let key = *self.1.get_or_insert(state.1.len());
        state.1.insert(key, cx.waker().clone());
        Poll::Pending
    }
}
// ANCHOR_END: counts

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.1 {
            self.0.0.lock().unwrap().1.remove(&key);
        }
    }
}
