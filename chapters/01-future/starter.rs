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
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

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

impl Countdown {
    /// Pending `n` times.
    pub fn new(n: u32) -> Self {
        Countdown { left: Some(n) }
    }
}

impl Future for Countdown {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!("1.1: at zero, be ready, once; above it, count down, wake, be pending")
    }
}

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

impl<A: Future<Output = u32>, B: Future<Output = u32>> Future for AddTwo<A, B> {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        todo!("1.2: poll the future of this state; on `Ready`, go on to the next state")
    }
}

impl<A, B> AddTwo<A, B> {
    /// From `First` to `Second`: drops `a` where it stands and moves `b`, which nobody has polled.
    fn second(mut self: Pin<&mut Self>, x: u32) {
        match self.as_mut().project_replace(AddTwo::Done) {
            AddTwoOwned::First { b, .. } => self.set(AddTwo::Second { x, b }),
            _ => unreachable!("only `First` goes to `Second`"),
        }
    }
}

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

impl<T, F> Future for PollFn<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        (self.f)(cx)
    }
}

/// What the chapter does not show.
pub mod extend {
    // What chapter 1 asks beyond its layer.

    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use std::vec;

    use pin_project_lite::pin_project;

    pin_project! {
        /// `async move { f(future.await) }`, by hand.
        #[project = MapState]
        #[project_replace = MapOwned]
        #[derive(Debug)]
        pub enum Map<A, F> {
            /// `future` is being polled, and `f` waits to be called.
            Waiting { #[pin] future: A, f: F },
            /// `f` was called.
            Done,
        }
    }

    /// What `f` makes of the output of `future`.
    pub fn map<A, T, F>(future: A, f: F) -> Map<A, F>
    where
        A: Future,
        F: FnOnce(A::Output) -> T,
    {
        Map::Waiting { future, f }
    }

    impl<A, T, F> Future for Map<A, F>
    where
        A: Future,
        F: FnOnce(A::Output) -> T,
    {
        type Output = T;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
            todo!("1.3: poll `future`; with its output, take `f` out and call it, once")
        }
    }

    pin_project! {
        /// `async move { f(future.await).await }`, by hand.
        #[project = ThenState]
        #[project_replace = ThenOwned]
        #[derive(Debug)]
        pub enum Then<A, F, B> {
            /// `future` is being polled, and `f` waits to be called.
            First { #[pin] future: A, f: F },
            /// `f` was called and gave `next`, which is being polled.
            Second { #[pin] next: B },
            /// `next` gave the output.
            Done,
        }
    }

    /// The output of the future that `f` makes of the output of `future`.
    pub fn then<A, B, F>(future: A, f: F) -> Then<A, F, B>
    where
        A: Future,
        B: Future,
        F: FnOnce(A::Output) -> B,
    {
        Then::First { future, f }
    }

    impl<A, B, F> Future for Then<A, F, B>
    where
        A: Future,
        B: Future,
        F: FnOnce(A::Output) -> B,
    {
        type Output = B::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B::Output> {
            todo!("1.4: poll `future`, call `f` with its output, poll what `f` made")
        }
    }

    pin_project! {
        /// A loop with an await inside, by hand:
        ///
        /// ```ignore
        /// async move {
        ///     let mut sum = 0;
        ///     for future in futures {
        ///         sum += future.await;
        ///     }
        ///     sum
        /// }
        /// ```
        #[project = TotalState]
        #[project_replace = TotalOwned]
        #[derive(Debug)]
        pub enum Total<I, A> {
            /// At the head of the loop: no future is being polled.
            Between { rest: I, sum: u32 },
            /// In the body of the loop: `future` is being polled, and `rest` comes after it.
            Inside { rest: I, sum: u32, #[pin] future: A },
            /// The sum is out.
            Done,
        }
    }

    /// The sum of all `futures`, each polled when the one before it is ready.
    pub fn total<I>(futures: I) -> Total<I, I::Item>
    where
        I: Iterator,
        I::Item: Future<Output = u32>,
    {
        Total::Between { rest: futures, sum: 0 }
    }

    impl<I, A> Future for Total<I, A>
    where
        I: Iterator<Item = A>,
        A: Future<Output = u32>,
    {
        type Output = u32;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
            todo!("1.5: go round the loop until a future is pending or none is left")
        }
    }

    /// Adds up bytes, a thousand at each poll, so that the thread is free for others in between.
    #[derive(Debug)]
    pub struct Checksum {
        /// The bytes that are not in the sum yet.
        rest: vec::IntoIter<u8>,
        /// The sum of the others.
        sum: u64,
        /// Whether the sum was handed out. Nobody looks at it yet.
        done: bool,
    }

    /// The sum of `bytes`: pending after each thousand but the last.
    pub fn checksum(bytes: Vec<u8>) -> Checksum {
        Checksum { rest: bytes.into_iter(), sum: 0, done: false }
    }

    impl Checksum {
        /// The version to mend. With the `block_on` of chapter 2, which never sleeps, it works.
        fn poll_hastily(&mut self) -> Poll<u64> {
            for byte in self.rest.by_ref().take(1000) {
                self.sum += u64::from(byte);
            }
            match self.rest.len() {
                0 => Poll::Ready(self.sum),
                _ => Poll::Pending,
            }
        }
    }

    impl Future for Checksum {
        type Output = u64;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
            todo!("1.6: what `poll_hastily` does, and keep the two rules that it breaks")
        }
    }
}
