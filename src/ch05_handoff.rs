//! # Layer 5 · the hand-off
//!
//! **Before.** `ch04_park` sleeps until its waker is woken; but whoever is to wake it must first
//! get hold of that waker, and so far every future finds its own way to pass it on.
//!
//! **Idea.** A future at the very bottom, a *leaf*, shares one place with whoever completes it.
//! What has happened and whom to tell stand behind the same lock, so neither is seen without the
//! other.
//!
//! **Invariants.**
//! 1. *No gap:* to look and to leave a waker is one step; no completion comes in between.
//! 2. *The newest:* of all the wakers left, the last one is woken, and no other.
//! 3. *Unlocked:* nobody is woken, and nothing of the user's is dropped, while the lock is held.
//! 4. *An end for both:* a side that goes away completes the other.
//!
//! **Still wrong.** Whoever completes is another thread: one for each sleep, one for each socket.
//! The kernel can watch thousands of things at once, and the next layer asks it how.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

// ANCHOR: oneshot
/// A channel for one value: the receiver is a future of it.
///
/// ```
/// use under_await::block_on;
/// use under_await::ch05_handoff::oneshot;
///
/// let (sender, receiver) = oneshot();
/// std::thread::spawn(move || sender.send("hello"));
/// assert_eq!(block_on(receiver), Ok("hello"));
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let state = Arc::new(Mutex::new(State::Empty(None)));
    (Sender { state: state.clone() }, Receiver { state })
}

/// What the two sides share.
#[derive(Debug)]
enum State<T> {
    /// Nothing has happened yet; here is whom to tell when it does. → `Sent`, `Closed`
    Empty(Option<Waker>),
    /// The value is on its way. → `Closed`
    Sent(T),
    /// Over: the value has been taken, or one side has gone.
    Closed,
}
// ANCHOR_END: oneshot

// ANCHOR: Receiver
/// The future of the value that the [`Sender`] sends.
///
/// Dropping it is how to stop waiting: the sender gets its value back.
#[derive(Debug)]
#[must_use = "a receiver does nothing unless it is polled"]
pub struct Receiver<T> {
    state: Arc<Mutex<State<T>>>,
}

/// What a [`Receiver`] gets when its sender goes away without sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;
// ANCHOR_END: Receiver

// ANCHOR: Future_for_Receiver
impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // ANCHOR: todo_5_1 lock, look; when nothing has happened, leave the newest waker
        // Older than the guard, so dropped after it: dropping a waker may drop a task, and with it
        // the very sender that would lock here.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.state.lock().unwrap();
        if let State::Empty(kept) = &mut *state {
            mem::swap(kept, &mut waker);
            return Poll::Pending;
        }
        match mem::replace(&mut *state, State::Closed) {
            State::Sent(value) => Poll::Ready(Ok(value)),
            _ => Poll::Ready(Err(RecvError)),
        }
        // ANCHOR_END: todo_5_1
    }
}
// ANCHOR_END: Future_for_Receiver

// ANCHOR: Sender
/// The side that completes the [`Receiver`]: by sending, or by going away.
#[derive(Debug)]
pub struct Sender<T> {
    state: Arc<Mutex<State<T>>>,
}

impl<T> Sender<T> {
    /// Sends `value` and wakes the receiver.
    ///
    /// # Errors
    /// Gives the value back if the receiver has gone.
    pub fn send(self, value: T) -> Result<(), T> {
        // ANCHOR: todo_5_2 lock, set, take the waker, unlock, wake
        let mut state = self.state.lock().unwrap();
        let State::Empty(waker) = &mut *state else { return Err(value) };
        let waker = waker.take();
        *state = State::Sent(value);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
        // ANCHOR_END: todo_5_2
    }

    /// Whether the receiver has gone, so that nobody will take a value.
    pub fn is_closed(&self) -> bool {
        matches!(*self.state.lock().unwrap(), State::Closed)
    }
}
// ANCHOR_END: Sender

// ANCHOR: Drop
impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // ANCHOR: todo_5_3 if nothing was sent, close, and wake the receiver outside the lock
        let mut state = self.state.lock().unwrap();
        if let State::Empty(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Closed;
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
        // ANCHOR_END: todo_5_3
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What was there, a value perhaps, is dropped after the lock is free.
        let _state = mem::replace(&mut *self.state.lock().unwrap(), State::Closed);
    }
}
// ANCHOR_END: Drop

// ANCHOR: WakerCell
/// A place for one waker, for futures that keep what they wait for elsewhere, in an atomic say.
///
/// They leave the waker first and look second. What completes them sets first and wakes second. So
/// whoever comes later sees what the other did.
#[derive(Debug, Default)]
pub struct WakerCell {
    /// The waker of the latest poll, until it is woken.
    waker: Mutex<Option<Waker>>,
}

impl WakerCell {
    /// An empty cell.
    pub const fn new() -> Self {
        WakerCell { waker: Mutex::new(None) }
    }

    /// Leaves a clone of `waker` in place of the one before.
    pub fn register(&self, waker: &Waker) {
        let new = waker.clone();
        // What it replaces is dropped after the statement, and with it after the lock.
        let _old = self.waker.lock().unwrap().replace(new);
    }

    /// Wakes the waker that was left last, if it has not been woken yet.
    pub fn wake(&self) {
        let waker = self.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }
}
// ANCHOR_END: WakerCell

// ANCHOR: thread_sleep
/// Ready after `duration`, counted from the first poll. It costs a thread: layer 9 does better.
pub async fn thread_sleep(duration: Duration) {
    let (sender, receiver) = oneshot();
    thread::spawn(move || {
        thread::sleep(duration);
        // An error means that nobody waits any more.
        let _ = sender.send(());
    });
    receiver.await.expect("the thread sends before it ends")
}
// ANCHOR_END: thread_sleep

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender went away without sending")
    }
}

impl Error for RecvError {}
