//! # Layer 2 · `block_on`, the honest first executor
//!
//! **Before.** A future does nothing until somebody polls it, and we poll by hand.
//!
//! **Idea.** An executor is whoever calls `poll`. The smallest one asks until it gets an answer.
//!
//! **Invariants.**
//! 1. *To the end:* the output is returned, and no poll follows it.
//! 2. *One place:* from the first poll to the last the future does not move.
//! 3. *Any future:* it need not be `Send`, `'static`, `Unpin` or ready to be woken.
//!
//! **Still wrong.** While the future waits, the loop asks millions of times and heats the room: the
//! waker does nothing, so nobody can tell it when asking is worth while. The next layer,
//! [`ch03_waker`](crate::ch03_waker), makes wakers that do something.
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::hint;
use std::pin::pin;
use std::task::Poll;

use under_await::ch01_future::poll_once;

/// Runs `future` to completion on this thread, asking again and again.
///
/// ```
/// use under_await::ch02_block_on::block_on;
///
/// assert_eq!(block_on(async { 1 + 2 }), 3);
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    block_on_counting(future).0
}

/// As [`block_on`], and says how many polls it took.
pub fn block_on_counting<F: IntoFuture>(future: F) -> (F::Output, u64) {
    todo!("2.1: pin the future, then poll and count until it is ready")
}

/// What the chapter does not show.
pub mod extend {
    // What chapter 2 asks beyond its layer.

    use std::hint;
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use under_await::ch01_future::poll_once;

    /// Runs `future` on this thread for at most `polls` polls; `None` if it was not ready by then.
    pub fn block_on_at_most<F: Future>(future: F, polls: u64) -> Option<F::Output> {
        todo!("2.2: poll until the future is ready or `polls` polls are used up")
    }

    /// Runs both futures on this thread until both are ready, polling them in turn, `a` first.
    pub fn block_on_two<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
        todo!("2.3: in turn, poll each that is not ready yet; return both outputs")
    }

    /// A flag that other threads set and one task awaits: the version to repair. It works under the
    /// `block_on` of this chapter and hangs under every executor that sleeps.
    #[derive(Clone, Debug, Default)]
    pub struct SilentFlag(Arc<AtomicBool>);

    impl SilentFlag {
        /// Makes the future ready.
        pub fn set(&self) {
            self.0.store(true, Ordering::Release);
        }
    }

    impl Future for SilentFlag {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            if self.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    /// The repaired flag, in two halves: one thread sets it, one task awaits it.
    pub fn flag() -> (Setter, Flag) {
        let shared = Arc::new(Mutex::new(Shared::default()));
        (Setter { shared: shared.clone() }, Flag { shared })
    }

    /// What the two halves share, both fields under one lock: to look at the first and to leave a
    /// waker in the second is one step, and no `set` comes in between.
    #[derive(Debug, Default)]
    struct Shared {
        /// Whether the flag is set; never taken back.
        is_set: bool,
        /// Left here by a poll that answered `Pending`, for `set` to wake.
        waker: Option<Waker>,
    }

    /// The half that sets the flag.
    #[derive(Debug)]
    pub struct Setter {
        shared: Arc<Mutex<Shared>>,
    }

    /// The half that waits: ready when the flag is set.
    #[derive(Debug)]
    pub struct Flag {
        shared: Arc<Mutex<Shared>>,
    }

    impl Future for Flag {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            todo!("2.4: ready if the flag is set; if not, leave the waker and be pending")
        }
    }

    impl Setter {
        /// Sets the flag, and wakes whoever waits for it.
        pub fn set(self) {
            todo!("2.5: set the flag, take the waker out, let go of the lock, wake")
        }
    }
}
