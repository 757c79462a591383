// [never-woken] wakes_the_newest
//
// Spares itself a clone when the handle is polled again with the waker that it has. To compare, it takes that
// out of its place, and leaves the place empty.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use under_await::ch11_task::{JoinError, JoinHandle as Right, spawn as right};
use under_await::waker_fn;

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    JoinHandle { handle: right(future), awaiting: Arc::default() }
}

pub struct JoinHandle<T> {
    handle: Right<T>,
    awaiting: Arc<Mutex<Option<Waker>>>,
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
        let told = self.awaiting.clone();
        let tells = waker_fn(move || told.lock().unwrap().take().into_iter().for_each(Waker::wake));
        let polled = Pin::new(&mut self.handle).poll(&mut Context::from_waker(&tells));
        let mut awaiting = self.awaiting.lock().unwrap();
        if !awaiting.take().is_some_and(|kept| kept.will_wake(cx.waker())) {
            *awaiting = Some(cx.waker().clone());
        }
        drop(awaiting);
        polled
    }
}
