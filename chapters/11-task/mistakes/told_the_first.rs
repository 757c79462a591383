// [old-waker] wakes_the_newest
//
// A handle that leaves a waker at its first poll and none later. The task that polls it next is not
// told.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use under_await::ch11_task::{JoinError, JoinHandle as Right, spawn as right};

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    JoinHandle { handle: right(future), first: None }
}

pub struct JoinHandle<T> {
    handle: Right<T>,
    first: Option<Waker>,
}

impl<T> JoinHandle<T> {
    pub fn abort(&self) {
        self.handle.abort();
    }

    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let first = self.first.get_or_insert_with(|| cx.waker().clone()).clone();
        Pin::new(&mut self.handle).poll(&mut Context::from_waker(&first))
    }
}
