//! A future that is polled by hand, with a bell for a waker.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Bell;

/// A future and the bell that rings when it is woken.
#[derive(Debug)]
pub struct Waiting<F> {
    future: Pin<Box<F>>,
    /// Rung by each wake.
    pub bell: Arc<Bell>,
    waker: Waker,
}

impl<F: Future> Waiting<F> {
    /// Not polled yet.
    pub fn new(future: F) -> Self {
        let (bell, waker) = Bell::new();
        Waiting { future: Box::pin(future), bell, waker }
    }

    /// Polls it with the bell's waker.
    pub fn poll(&mut self) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }
}

/// The answer of a poll that has to be ready.
pub trait Now<T> {
    /// What is there now.
    fn now(self) -> T;
}

impl<T> Now<T> for Poll<T> {
    #[track_caller]
    fn now(self) -> T {
        match self {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it is pending"),
        }
    }
}
