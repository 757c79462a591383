// [never-woken] each_with_a_waker_of_its_own
//
// Asks the thread which task is running instead of asking `cx`. In a future that polls others,
// each of these has a waker of its own; the thread knows only one.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use under_await::ch05_handoff as layer;
pub use under_await::ch05_handoff::Sender;

pub struct Receiver<T>(layer::Receiver<T>);

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = layer::oneshot();
    (sender, Receiver(receiver))
}

thread_local! {
    static CURRENT: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = CURRENT.with_borrow_mut(|current| {
            current.get_or_insert_with(|| cx.waker().clone()).clone()
        });
        Pin::new(&mut self.0).poll(&mut Context::from_waker(&waker))
    }
}
