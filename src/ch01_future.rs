//! # Layer 1 · a future is a value with a `poll`
//!
//! **Before.** `async fn` works, and yet nobody can point at the place where it runs, or say where
//! its variables live while it waits.
//!
//! **Idea.** A future is an ordinary value that remembers how far it got. `poll` is an ordinary
//! call that takes it as far as it can go now: to `Ready`, or to `Pending` and no further.
//!
//! **Invariants.**
//! 1. *Lazy:* nothing runs before the first poll.
//! 2. *No gap:* one poll passes every await that is ready, and stops at the first that is not.
//! 3. *Once:* after `Ready`, `Countdown` and `AddTwo` panic when polled; they never answer twice.
//! 4. *A promise:* whoever says `Pending` has seen to it that a wake will come.
//!
//! **Still wrong.** Somebody has to call `poll` again, and so far that is us, by hand. The next
//! layer, [`ch02_block_on`](crate::ch02_block_on), does it in a loop.

#![forbid(unsafe_code)]

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

// ANCHOR: poll_once
/// Polls `future` once, with a waker that does nothing.
///
/// ```
/// use std::pin::pin;
/// use std::task::Poll;
/// use under_await::ch01_future::poll_once;
///
/// let mut greeting = pin!(async { "hello" });
/// assert_eq!(poll_once(greeting.as_mut()), Poll::Ready("hello"));
/// ```
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
// ANCHOR_END: poll_once

// ANCHOR: Countdown
/// Pending a number of times, then ready with `"liftoff"`: the smallest future that has to wait.
///
/// # Panics
/// When polled after it was ready.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Countdown {
    /// How often it will still say `Pending`; `None` once it was ready.
    left: Option<u32>,
}
// ANCHOR_END: Countdown

impl Countdown {
    /// Pending `n` times.
    pub fn new(n: u32) -> Self {
        Countdown { left: Some(n) }
    }
}

// ANCHOR: Future_for_Countdown
impl Future for Countdown {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // ANCHOR: todo_1_1 at zero, be ready, once; above it, count down, wake, be pending
        let left = self.left.expect("`Countdown` polled after it was ready");
        self.left = left.checked_sub(1);
        if left == 0 {
            return Poll::Ready("liftoff");
        }
        // Nothing outside will ever call us back, so we ask for the next poll ourselves.
        cx.waker().wake_by_ref();
        Poll::Pending
        // ANCHOR_END: todo_1_1
    }
}
// ANCHOR_END: Future_for_Countdown

// ANCHOR: AddTwo
pin_project! {
    /// `async move { a.await + b.await }`, written by hand.
    #[project = AddTwoState]
    #[project_replace = AddTwoOwned]
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    #[allow(missing_docs)] // The macro takes no docs on fields: see the comments beside them.
    pub enum AddTwo<A, B> {
        /// Nothing is known yet: `a` is being polled. `b` is not, so it is not pinned and may move.
        First { #[pin] a: A, b: B },
        /// `a` gave `x` and is gone: `b` is being polled.
        Second { x: u32, #[pin] b: B },
        /// The sum is out.
        Done,
    }
}
// ANCHOR_END: AddTwo

/// The sum of two futures, the second polled when the first is ready.
///
/// # Panics
/// When polled after it was ready.
pub fn add_two<A, B>(a: A, b: B) -> AddTwo<A, B>
where
    A: Future<Output = u32>,
    B: Future<Output = u32>,
{
    AddTwo::First { a, b }
}

// ANCHOR: Future_for_AddTwo
impl<A: Future<Output = u32>, B: Future<Output = u32>> Future for AddTwo<A, B> {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        // ANCHOR: todo_1_2 poll the future of this state; on `Ready`, go on to the next state
        loop {
            match self.as_mut().project() {
                AddTwoState::First { a, .. } => {
                    let x = ready!(a.poll(cx));
                    self.as_mut().second(x);
                }
                AddTwoState::Second { x, b } => {
                    let sum = *x + ready!(b.poll(cx));
                    self.set(AddTwo::Done);
                    return Poll::Ready(sum);
                }
                AddTwoState::Done => panic!("`AddTwo` polled after it was ready"),
            }
        }
        // ANCHOR_END: todo_1_2
    }
}
// ANCHOR_END: Future_for_AddTwo

// ANCHOR: impl_AddTwo
impl<A, B> AddTwo<A, B> {
    /// From `First` to `Second`: drops `a` where it stands and moves `b`, which nobody has polled.
    fn second(mut self: Pin<&mut Self>, x: u32) {
        match self.as_mut().project_replace(AddTwo::Done) {
            AddTwoOwned::First { b, .. } => self.set(AddTwo::Second { x, b }),
            _ => unreachable!("only `First` goes to `Second`"),
        }
    }
}
// ANCHOR_END: impl_AddTwo

/// Pending once, so that whoever polls gets the thread back; ready at the next poll.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct YieldNow {
    /// Whether it has been pending already.
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A future whose `poll` is the closure `f`.
pub fn poll_fn<T, F>(f: F) -> PollFn<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<T> + Unpin,
{
    PollFn { f }
}

/// The future of [`poll_fn`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct PollFn<F> {
    /// Called at every poll.
    f: F,
}

// ANCHOR: Future_for_PollFn
impl<T, F> Future for PollFn<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        (self.f)(cx)
    }
}
// ANCHOR_END: Future_for_PollFn
