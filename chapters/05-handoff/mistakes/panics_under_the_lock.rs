// [panicked] gives_no_second_answer
//
// Refuses a second answer with a panic, as it should, but with the lock held. The lock is
// poisoned, and everybody who comes by afterwards panics too.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

pub enum State<T> {
    Empty(Option<Waker>),
    Sent(T),
    Closed,
}

pub struct Sender<T>(Arc<Mutex<State<T>>>);
pub struct Receiver<T>(Arc<Mutex<State<T>>>);

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let state = Arc::new(Mutex::new(State::Empty(None)));
    (Sender(state.clone()), Receiver(state))
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let newest = cx.waker().clone();
        let mut state = self.0.lock().unwrap();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Empty(_) => *state = State::Empty(Some(newest)),
            State::Sent(value) => return Poll::Ready(Ok(value)),
            State::Closed => panic!("`Receiver` polled after it was ready"),
        }
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let _state = std::mem::replace(&mut *self.0.lock().unwrap(), State::Closed);
    }
}

// The rest is left out: the check does not come so far.
impl<T> Sender<T> {
    pub fn send(self, value: T) -> Result<(), T> {
        *self.0.lock().unwrap() = State::Sent(value);
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        matches!(*self.0.lock().unwrap(), State::Closed)
    }
}
