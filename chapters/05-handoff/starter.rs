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
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
// As std's. When the checks play every order, it stops before each `lock`, to let the other side in.
use crate::support::schedules::model::Mutex;
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

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!("5.1: lock, look; if nothing has happened, leave the newest waker, unlock")
    }
}

/// The side that completes the [`Receiver`]: by sending, or by going away.
pub struct Sender<T> {
    /// Shared with the receiver.
    state: Arc<Mutex<State<T>>>,
}

impl<T> Sender<T> {
    /// Ends the wait with `end` and wakes the receiver; gives `end` back if there is no wait.
    fn complete(&self, end: State<T>) -> Result<(), State<T>> {
        todo!("5.2: lock, set, take the waker, unlock, wake")
    }
}

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

impl WakerCell {
    /// Leaves a clone of `waker` in place of the one before.
    pub fn register(&self, waker: &Waker) {
        let newest = waker.clone();
        // The lock is held to the end of this statement, the older waker lives to the next brace.
        let _older = self.waker.lock().unwrap().replace(newest);
    }

    /// Wakes the waker that was left last, if it has not been woken yet.
    pub fn wake(&self) {
        todo!("5.3: take the waker, unlock, wake")
    }
}

/// Wakes all of them, in order, whichever of them panics. Whoever calls this holds no lock.
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        // A panic has been reported by now. What it carries may panic when dropped, so it is not.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake())).map_err(mem::forget);
    }
}

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

/// What the chapter does not show.
pub mod extend {
    // What chapter 5 asks beyond its layer.

    use std::mem;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::WakerCell;
    use crate::support::schedules::{model, point};

    /// A line between somebody who wants an answer and somebody who works for it. Dropping the [`Line`]
    /// completes the [`Hangup`], and the work can stop. Put one beside a `oneshot`, and its sender can
    /// wait for its receiver to go away: what tokio calls `Sender::closed`.
    pub fn line() -> (Line, Hangup) {
        let shared = Arc::new(Shared::default());
        (Line { shared: shared.clone() }, Hangup { shared })
    }

    /// For the side that wants the answer. See [`line`].
    #[derive(Debug)]
    pub struct Line {
        shared: Arc<Shared>,
    }

    /// For the side that works: ready when the line was dropped. See [`line`].
    #[derive(Debug)]
    pub struct Hangup {
        shared: Arc<Shared>,
    }

    /// What the two sides share. The checks stop at each of its four steps, to let the other side come in
    /// between.
    #[derive(Debug, Default)]
    struct Shared {
        /// Set when the line was dropped.
        gone: AtomicBool,
        /// Whom to tell then.
        waker: WakerCell,
    }

    impl Shared {
        /// Whether the line was dropped.
        fn look(&self) -> bool {
            point("look");
            // Pairs with the `Release` in `set`.
            self.gone.load(Ordering::Acquire)
        }

        /// Leaves `waker` for whoever wakes.
        fn keep(&self, waker: &Waker) {
            point("keep the waker");
            self.waker.register(waker);
        }

        /// From now on the line is gone.
        fn set(&self) {
            point("set");
            // Pairs with the `Acquire` in `look`.
            self.gone.store(true, Ordering::Release);
        }

        /// Wakes whoever is kept now.
        fn wake(&self) {
            point("wake whoever is kept");
            self.waker.wake();
        }
    }

    impl Future for Hangup {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            todo!("5.4: keep the waker, and look: in the order that never loses a wake")
        }
    }

    impl Drop for Line {
        fn drop(&mut self) {
            todo!("5.5: set, and wake: in the order that never loses a wake")
        }
    }

    /// A [`WakerCell`] without a lock, to be repaired. Nobody waits here for anybody: whoever finds the
    /// slot in use goes on, after having said so. The state and the slot are the model's: the one stops
    /// the play before each operation, and the other one ends it when two threads are at the slot at
    /// once. In a program it would be an `UnsafeCell`, and that would be undefined behaviour.
    #[derive(Debug, Default)]
    pub struct LocklessCell {
        /// [`FREE`], or who is at the slot.
        state: model::AtomicU8,
        /// The waker of the latest poll, until it is woken.
        slot: model::Exclusive<Option<Waker>>,
    }

    /// Nobody is at the slot. → `KEEPING`, `WAKING`
    const FREE: u8 = 0;
    /// `register` is at the slot. → `FREE`, or with a note from a `wake`: → `KEEPING | WAKING` → `FREE`
    const KEEPING: u8 = 1;
    /// A `wake` is at the slot. → `FREE`
    const WAKING: u8 = 2;

    impl LocklessCell {
        /// Leaves a clone of `waker` in place of the one before. If a wake comes meanwhile, `waker` is
        /// woken by us.
        pub fn register(&self, waker: &Waker) {
            todo!("5.6: keep the waker, alone at the slot; wake it if a `wake` came meanwhile")
        }

        /// Wakes the waker that was left last, if it has not been woken yet.
        pub fn wake(&self) {
            todo!("5.7: take the waker, alone at the slot, and wake it afterwards; or leave a note")
        }

        /// The version to mend: `state` says whether there is a waker in the slot, 1 or 0.
        pub fn register_hastily(&self, waker: &Waker) {
            let older = self.slot.with(|slot| slot.replace(waker.clone()));
            self.state.store(1, Ordering::Release);
            drop(older);
        }

        /// The other half of it.
        pub fn wake_hastily(&self) {
            if self.state.swap(0, Ordering::AcqRel) == 1 {
                let waker = self.slot.with(mem::take);
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}
