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
//! 2. *The newest:* of all the wakers left, the last one is woken, once, and no other.
//! 3. *Unlocked:* while the lock is held nobody is woken, and no waker and no value is dropped.
//! 4. *An end for both:* each side learns that the other is gone.
//!
//! **Still wrong.** Whoever completes is another thread: one for each sleep, one for each socket.
//! The kernel can watch thousands of things at once, and the next layer asks it how.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// A channel for one value: the receiver is a future of it.
///
/// ```
/// use under_await::ch04_park::block_on;
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

// ANCHOR: State
/// What the two sides share. It goes forward only.
enum State<T> {
    /// Nothing has happened; here is whom to tell when it does. → `Sent`, `Abandoned`, `Closed`
    Empty(Option<Waker>),
    /// The value is on its way. → `Closed`
    Sent(T),
    /// The sender was dropped without sending. → `Closed`
    Abandoned,
    /// The receiver has its answer, or was dropped.
    Closed,
}
// ANCHOR_END: State

/// The future of the value that the [`Sender`] sends.
///
/// Dropping it is how to stop waiting: the sender then gets its value back.
///
/// # Panics
/// When polled after it was ready.
#[must_use = "a receiver does nothing unless it is polled"]
pub struct Receiver<T> {
    /// Shared with the sender.
    state: Arc<Mutex<State<T>>>,
}

/// What a [`Receiver`] gets when its sender goes away without sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

// ANCHOR: Future_for_Receiver
impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // ANCHOR: todo_5_1 lock, look; if nothing has happened, leave the newest waker, unlock
        let newest = cx.waker().clone();
        let mut state = self.state.lock().unwrap();
        let found = mem::replace(&mut *state, State::Closed);
        if matches!(found, State::Empty(_)) {
            *state = State::Empty(Some(newest));
        }
        drop(state);
        // Not earlier: an older waker may own a task with a sender in it, which locks when dropped.
        match found {
            State::Empty(_) => Poll::Pending,
            State::Sent(value) => Poll::Ready(Ok(value)),
            State::Abandoned => Poll::Ready(Err(RecvError)),
            State::Closed => panic!("`Receiver` polled after it was ready"),
        }
        // ANCHOR_END: todo_5_1
    }
}
// ANCHOR_END: Future_for_Receiver

/// The side that completes the [`Receiver`]: by sending, or by going away.
pub struct Sender<T> {
    /// Shared with the receiver.
    state: Arc<Mutex<State<T>>>,
}

// ANCHOR: complete
impl<T> Sender<T> {
    /// Ends the wait with `end` and wakes the receiver; gives `end` back if there is no wait.
    fn complete(&self, end: State<T>) -> Result<(), State<T>> {
        // ANCHOR: todo_5_2 lock, set, take the waker, unlock, wake
        let mut state = self.state.lock().unwrap();
        let State::Empty(waker) = &mut *state else { return Err(end) };
        let waker = waker.take();
        *state = end;
        drop(state);
        wake_all(waker);
        Ok(())
        // ANCHOR_END: todo_5_2
    }
}
// ANCHOR_END: complete

// ANCHOR: Sender
impl<T> Sender<T> {
    /// Sends `value` and wakes the receiver.
    ///
    /// # Errors
    /// Gives the value back if the receiver is gone.
    pub fn send(self, value: T) -> Result<(), T> {
        match self.complete(State::Sent(value)) {
            Err(State::Sent(value)) => Err(value),
            _ => Ok(()),
        }
    }

    /// Whether the receiver is gone, so that nobody will take a value.
    pub fn is_closed(&self) -> bool {
        matches!(*self.state.lock().unwrap(), State::Closed)
    }
}
// ANCHOR_END: Sender

// ANCHOR: Drop
impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // An error means that there is nobody to tell: a value was sent, or the receiver is gone.
        let _ = self.complete(State::Abandoned);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What was there, a value perhaps, is dropped at the end, when the lock is free.
        let _state = mem::replace(&mut *self.state.lock().unwrap(), State::Closed);
    }
}
// ANCHOR_END: Drop

/// A place for one waker: for futures that keep what they wait for elsewhere, say in an atomic.
///
/// They leave the waker first and look second. What completes them sets first and wakes second. So
/// whoever comes later sees what the other one did.
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
}

// ANCHOR: WakerCell
impl WakerCell {
    /// Leaves a clone of `waker` in place of the one before.
    pub fn register(&self, waker: &Waker) {
        let newest = waker.clone();
        // The lock is held to the end of this statement, the older waker lives to the next brace.
        let _older = self.waker.lock().unwrap().replace(newest);
    }

    /// Wakes the waker that was left last, if it has not been woken yet.
    pub fn wake(&self) {
        // ANCHOR: todo_5_3 take the waker, unlock, wake
        let waker = self.waker.lock().unwrap().take();
        wake_all(waker);
        // ANCHOR_END: todo_5_3
    }
}
// ANCHOR_END: WakerCell

/// Wakes all of them, in order, whichever of them panics. Whoever calls this holds no lock.
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        // A panic has been reported by now. What it carries may panic when dropped, so it is not.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake())).map_err(mem::forget);
    }
}

// ANCHOR: thread_sleep
/// Ready after `duration`, counted from the first poll. It costs a thread: layer 9 does better. Panics
/// where no thread can be made.
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

/// Neither side shows the value: to show it runs code of the user's, here under the lock.
impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender went away without sending")
    }
}

impl Error for RecvError {}
