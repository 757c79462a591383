//! # Layer 13 · race
//!
//! **Before.** With layer 12, a wait for two futures is a wait for both. There is no way to say
//! that the first one will do.
//!
//! **Idea.** Poll them all; the first that is ready wins, and the others are dropped. That is all
//! there is to cancellation: a future that nobody polls does nothing, and its `Drop` tidies up.
//!
//! **Invariants.**
//! 1. *Dropped first:* the losers are dropped, once, before anybody sees the winner's answer.
//! 2. *All are asked:* a race that answers `Pending` has asked every future that is still in.
//! 3. *Fair:* where all are ready, `select!` takes each as often as any other; `biased;` takes the
//!    first.
//! 4. *Nothing is kept:* a future that waited for a token and is dropped leaves no waker behind.
//!
//! **Still wrong.** A `oneshot` is one value for one waiter. Tasks that work together want queues,
//! locks and permits: lists of waiters, each of which may be dropped at any moment.
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
// As std's. When the checks play every order, it stops before each `lock`, to let the other side in.
use crate::support::schedules::model::Mutex;
use std::task::{Context, Poll, Waker, ready};

pub use futures::future::Either;
use pin_project_lite::pin_project;

use under_await::ch05_handoff::wake_all;

/// Waits for `a` or `b`, whichever is ready first, and drops the other one at that moment.
///
/// `a` is asked first: if both are ready it wins, and `b` is not polled. Cancel safe if both are.
///
/// ```
/// use std::future::{pending, ready};
/// use under_await::ch13_race::{Either, race};
///
/// let winner = under_await::block_on(race(pending::<()>(), ready("b")));
/// assert!(matches!(winner, Either::Right("b")));
/// ```
pub fn race<A, B>(a: A, b: B) -> Race<A::IntoFuture, B::IntoFuture>
where
    A: IntoFuture,
    B: IntoFuture,
{
    Race::Running { a: a.into_future(), b: b.into_future() }
}

pin_project! {
    /// The future of [`race`]. It panics when it is polled after it was ready.
    #[project = RaceState]
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    #[allow(missing_docs)] // The macro takes no docs on fields.
    pub enum Race<A, B> {
        /// Neither was ready so far: `a` is asked first, and `b` if that is pending.
        Running { #[pin] a: A, #[pin] b: B },
        /// One has won, and both are gone.
        Over,
    }
}

impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!("13.1: poll a, then b; drop both where they stand, and only then answer")
    }
}

/// Waits for several futures at once, and goes on with the first that is ready. The others are
/// dropped, with all temporaries of their expressions, before the expression of the winner runs.
///
/// ```
/// # use std::future::{pending, ready};
/// # under_await::block_on(async {
/// let answer = under_await::select! {
///     n = ready(1) => n + 1,
///     Some(n) = pending() => n,
/// };
/// assert_eq!(answer, 2);
/// # });
/// ```
///
/// It is written as tokio's, and does the same:
///
/// * `pattern = future => expression` is a branch. After a block no comma is needed. The expression
///   may use what the futures borrowed, and `.await`, `?`, `break` and `return`.
/// * `pattern = future, if condition => expression`: if it does not hold, the branch is out.
/// * An output that does not fit its pattern puts the branch out, and the others go on.
/// * `else => expression`, at the end, is for when all branches are out.
/// * At each poll, chance says which is asked first. With `biased;` in front, it is the first.
///
/// Cancel safe if all futures are. To go on with one in the next turn of a loop, pin it before the
/// loop, and give `&mut future`.
///
/// # Panics
/// When all branches are out and there is no `else`.
#[macro_export]
macro_rules! __select {
    (@end $start:tt
        [$({ $p:pat, $f:expr, $open:expr, $e:expr, $future:ident, $output:ident })*] $else:expr
    ) => {{
        let mut open = [$($open),*];
        $(let mut $output = None;)*
        // Futures and temporaries live to the end of this `match`. Then only outputs are left.
        match ($($f,)*) {
            ($($future,)*) => {
                $(let mut $future = ::std::pin::pin!(::std::future::IntoFuture::into_future($future));)*
                ::std::future::poll_fn(|cx| {
                    $crate::ch13_race::once_around(&mut open, $start, |n| {
                        let mut branches = 0..;
                        $(#[allow(unused)] if branches.next() == Some(n) {
                            let answer = ::std::future::Future::poll($future.as_mut(), cx);
                            return answer.map(|mut output| {
                                let mut fits = false;
                                match output {
                                    // A guard looks, and takes nothing: what it refuses is whole.
                                    $p if { fits = true; false } => unreachable!(),
                                    output => $output = fits.then_some(output),
                                }
                                fits
                            });
                        })*
                        unreachable!("no more than `open` has")
                    })
                })
                .await
            }
        }
        #[allow(unused_braces, unused_parens)]
        $(if let Some($p) = $output { $e } else)* { $else }
    }};
    // There is nothing to wait for.
    (@ $start:tt [] $(,)? else => $else:expr $(,)?) => { $else };
    // Branch by branch into the list of those that were read, each with names of its own.
    (@ $start:tt $read:tt $(,)? else => $else:expr $(,)?) => {
        $crate::__select!(@end $start $read $else)
    };
    (@ $start:tt $read:tt $(,)?) => {
        $crate::__select!(@end $start $read panic!("all branches are out, and there is no `else`"))
    };
    (@ $start:tt $read:tt $(,)? $p:pat = $f:expr $(, if $c:expr)? => $e:block $($rest:tt)*) => {
        $crate::__select!(@ $start $read $p = $f $(, if $c)? => ($e), $($rest)*)
    };
    (@ $start:tt [$($read:tt)*]
        $(,)? $p:pat = $f:expr $(, if $c:expr)? => $e:expr $(, $($rest:tt)*)?
    ) => {
        $crate::__select!(@ $start
            [$($read)* { $p, $f, true $(&& $c)?, $e, future, output }] $($($rest)*)?)
    };
    (@ $start:tt $read:tt $($other:tt)+) => {
        compile_error!(concat!("no `pattern = future => expression`: ", stringify!($($other)+)))
    };
    (biased; $($branches:tt)+) => {
        $crate::__select!(@ 0 [] $($branches)+)
    };
    ($($branches:tt)+) => {
        $crate::__select!(@ ($crate::ch13_race::random()) [] $($branches)+)
    };
}
#[doc(inline)]
pub use __select as select;

/// Polls every branch of a [`select!`](select!) that is `open`, once around from `start`, which
/// may be any number. `Ready(true)` has won; `Ready(false)` is out, and not open any more. Panics
/// when there is no branch at all.
pub fn once_around(
    open: &mut [bool],
    start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    todo!("13.2: ready when one has won or none is open; pending when all that are open are")
}

thread_local! {
    /// How far this thread is in its random numbers. It begins where std's hash maps get their keys.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(()));
}

/// From here on, all that chance decides on this thread follows from `seed`: for tests.
pub fn seed(seed: u64) {
    STATE.set(seed);
}

/// The next number of a sequence that looks like chance (wyrand, Wang Yi). It keeps no secrets.
pub fn random() -> u64 {
    let state = STATE.get().wrapping_add(0xa076_1d64_78bd_642f);
    STATE.set(state);
    let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
    (product >> 64) as u64 ^ product as u64
}

/// Tells any number of futures, on any thread, to stop. Its clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    /// What it shares with its clones.
    shared: Arc<Mutex<Shared>>,
}

/// What the clones of a token share.
#[derive(Debug, Default)]
struct Shared {
    /// Set by `cancel`, for good.
    cancelled: bool,
    /// The wakers to wake then: one entry for each future that waits.
    waiters: BTreeMap<u64, Waker>,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.shared.lock().unwrap().cancelled
    }

    /// Ready when the token is cancelled, and ever after. Cancel safe.
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { token: self, key: None }
    }
}

impl CancelToken {
    /// Cancels the token for good, and wakes whoever waits for that.
    pub fn cancel(&self) {
        let mut shared = self.shared.lock().unwrap();
        shared.cancelled = true;
        let waiters = mem::take(&mut shared.waiters);
        drop(shared);
        wake_all(waiters.into_values());
    }
}

/// The future of [`CancelToken::cancelled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Cancelled<'a> {
    /// What it waits for.
    token: &'a CancelToken,
    /// The key of its entry among the waiters, from its first poll on.
    key: Option<u64>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        todo!("13.3: ready if cancelled; otherwise leave the newest waker, in one entry")
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        // The lock is free at the end of this statement; the waker is dropped at the brace.
        let _waker = self.token.shared.lock().unwrap().waiters.remove(&key);
    }
}

/// Calls `f` when the guard that it returns is dropped: however its block is left, and also when the
/// future in which it stands is dropped half-way.
pub fn on_drop<F: FnOnce()>(f: F) -> OnDrop<F> {
    OnDrop { f: Some(f) }
}

/// The guard of [`on_drop`].
#[derive(Debug)]
#[must_use = "without a name it is dropped at once"]
pub struct OnDrop<F: FnOnce()> {
    /// What is still to be called.
    f: Option<F>,
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.f.take() {
            f();
        }
    }
}

/// As its macros know it.
use crate as ch13_race;

/// What the chapter does not show.
pub mod extend {
    // What chapter 13 asks beyond its layer.
    //
    // The checks play the layer in every order.
    // For that, the layer's lock in your file is that of `support/schedules.rs`. It does what std's does, and
    // stops each time it is to be taken.

    use std::io::{self, ErrorKind};
    use std::pin::pin;
    use std::time::Duration;

    use futures::io::{AsyncRead, AsyncReadExt};

    use under_await::ch09_timer::{Elapsed, interval, sleep};

    use super::{Either, race, select};

    /// Runs `future` for `limit` at most, counted from the first poll. A future that is ready when the
    /// time is over still wins. One that is too slow is dropped.
    pub async fn timeout<F: IntoFuture>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        todo!("13.4: a race against a sleep; who should be asked first?")
    }

    /// Calls `work` once and runs it to its end, and calls `beat` meanwhile: at once, unless the work is ready
    /// by then, and after that every `period`, counted from when the last beat was due. If a beat takes longer
    /// than that, the work still gets its turn. Once the work is ready, there is no beat any more.
    pub async fn with_heartbeat<T>(
        work: impl AsyncFn() -> T,
        period: Duration,
        mut beat: impl FnMut(),
    ) -> T {
        todo!("13.5: wait in a loop for the work or the next tick; the work is begun once, and wins")
    }

    /// What a future of ours waits for. Each is begun, dropped half-way, and begun anew.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Operation {
        /// `listener.accept()`
        Accept,
        /// `stream.read(&mut buffer)`
        Read,
        /// `stream.read_exact(&mut buffer)`
        ReadExact,
        /// `stream.write_all(&bytes)`
        WriteAll,
        /// `socket.recv_from(&mut buffer)`
        RecvFrom,
        /// `&mut receiver`, of a `oneshot`
        BorrowedReceiver,
        /// `receiver`, of a `oneshot`: what is begun anew is the next one
        Receiver,
        /// `interval.tick()`
        Tick,
        /// `sleep(duration)`
        Sleep,
        /// `token.cancelled()`
        Cancelled,
    }

    /// What a future takes with it when it is dropped half-way.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Loss {
        /// Nothing: begun anew, it misses nothing and does nothing twice. It is cancel safe.
        Nothing,
        /// How much was done: bytes that nobody gets, or gets twice.
        Bytes,
        /// The value that was on its way.
        Value,
        /// The time that has been waited for.
        Time,
    }

    /// What is lost when `operation` is dropped half-way.
    pub fn loss(operation: Operation) -> Loss {
        todo!("13.6: a `match`: for each operation, what is lost with its future")
    }

    /// Reads messages of a fixed length, one after the other.
    #[derive(Debug)]
    pub struct Messages<R> {
        /// Where they come from.
        reader: R,
        /// The message that is being read.
        buffer: Vec<u8>,
        /// How much of it has come.
        filled: usize,
    }

    impl<R: AsyncRead + Unpin> Messages<R> {
        /// Messages of `length` bytes, out of `reader`.
        pub fn new(reader: R, length: usize) -> Self {
            Messages { reader, buffer: vec![0; length], filled: 0 }
        }

        /// The next message. Cancel safe: what has come of it is there for the next call. So it is after an
        /// error, be it the reader's, or `UnexpectedEof`, which says that the reader has ended before the
        /// message: a file may grow.
        pub async fn next(&mut self) -> io::Result<Vec<u8>> {
            todo!("13.7: as `next_hastily`, but what has come outlives the future")
        }

        /// The version to mend. Only the future of `read_exact` knows how much has come.
        pub async fn next_hastily(&mut self) -> io::Result<Vec<u8>> {
            self.reader.read_exact(&mut self.buffer).await?;
            Ok(self.buffer.clone())
        }
    }
}
