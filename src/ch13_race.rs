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

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker, ready};

pub use futures::future::Either;
use pin_project_lite::pin_project;

use crate::ch05_handoff::wake_all;

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

// ANCHOR: Future_for_Race
impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // ANCHOR: todo_13_1 poll a, then b; drop both where they stand, and only then answer
        let RaceState::Running { a, b } = self.as_mut().project() else {
            panic!("`Race` polled after it was ready")
        };
        let winner = match a.poll(cx) {
            Poll::Ready(output) => Either::Left(output),
            Poll::Pending => Either::Right(ready!(b.poll(cx))),
        };
        self.set(Race::Over);
        Poll::Ready(winner)
        // ANCHOR_END: todo_13_1
    }
}
// ANCHOR_END: Future_for_Race

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

// ANCHOR: once_around
/// Polls every branch of a [`select!`](select!) that is `open`, once around from `start`, which
/// may be any number. `Ready(true)` has won; `Ready(false)` is out, and not open any more. Panics
/// when there is no branch at all.
pub fn once_around(
    open: &mut [bool],
    start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    // ANCHOR: todo_13_2 ready when one has won or none is open; pending when all that are open are
    let start = (start % open.len() as u64) as usize;
    for n in (start..open.len()).chain(0..start) {
        match open[n].then(|| poll(n)) {
            Some(Poll::Ready(true)) => return Poll::Ready(()),
            Some(Poll::Ready(false)) => open[n] = false,
            Some(Poll::Pending) | None => {}
        }
    }
    if open.contains(&true) { Poll::Pending } else { Poll::Ready(()) }
    // ANCHOR_END: todo_13_2
}
// ANCHOR_END: once_around

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

// ANCHOR: Shared
/// What the clones of a token share.
#[derive(Debug, Default)]
struct Shared {
    /// Set by `cancel`, for good.
    cancelled: bool,
    /// The wakers to wake then: one entry for each future that waits.
    waiters: BTreeMap<u64, Waker>,
}
// ANCHOR_END: Shared

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

// ANCHOR: cancel
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
// ANCHOR_END: cancel

/// The future of [`CancelToken::cancelled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Cancelled<'a> {
    /// What it waits for.
    token: &'a CancelToken,
    /// The key of its entry among the waiters, from its first poll on.
    key: Option<u64>,
}

// ANCHOR: Future_for_Cancelled
impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // ANCHOR: todo_13_3 ready if cancelled; otherwise leave the newest waker, in one entry
        let (newest, token) = (cx.waker().clone(), self.token);
        let mut shared = token.shared.lock().unwrap();
        if shared.cancelled {
            return Poll::Ready(());
        }
        let last = shared.waiters.keys().next_back();
        let key = *self.key.get_or_insert(last.map_or(0, |last| last + 1));
        let older = shared.waiters.insert(key, newest);
        drop(shared);
        drop(older);
        Poll::Pending
        // ANCHOR_END: todo_13_3
    }
}
// ANCHOR_END: Future_for_Cancelled

// ANCHOR: Drop_for_Cancelled
impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        // The lock is free at the end of this statement; the waker is dropped at the brace.
        let _waker = self.token.shared.lock().unwrap().waiters.remove(&key);
    }
}
// ANCHOR_END: Drop_for_Cancelled

/// Calls `f` when the guard that it returns is dropped: however its block is left, and also when the
/// future in which it stands is dropped half-way.
pub fn on_drop<F: FnOnce()>(f: F) -> OnDrop<F> {
    OnDrop { f: Some(f) }
}

// ANCHOR: OnDrop
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
// ANCHOR_END: OnDrop
