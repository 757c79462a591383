// [piles-up] who_is_dropped_leaves_nothing
//
// No `Drop`. A `select!` in a loop waits for the token anew in every turn, and each turn leaves another
// waker with it. The token of a server lives as long as the server does.

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
        let mut state = self.0.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        let key = *self.1.get_or_insert(state.1.len());
        state.1.insert(key, cx.waker().clone());
        Poll::Pending
    }
}
