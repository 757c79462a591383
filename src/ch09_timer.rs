//! # Layer 9 · timers
//!
//! **Before.** `ch08_poll` sleeps until a descriptor is ready. A future cannot say *when* it wants
//! to go on; `ch05_handoff` spends a thread on each sleep.
//!
//! **Idea.** A timer is a key in an ordered map. The first key bounds the next sleep of the
//! reactor; after the sleep, whatever is due is woken.
//!
//! **Invariants.**
//! 1. *Never early:* a sleep is not over before its deadline.
//! 2. *In order:* of two timers that are due, the one with the earlier deadline is woken first.
//! 3. *One entry:* however often it is polled, a timer has one entry; dropped or fired, none.
//! 4. *No ticking:* the thread sleeps until the first deadline and not in between.
//!
//! **Still wrong.** Pipes and time are all that a future can wait for so far. The next layer, the
//! net, waits for sockets.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::ch08_poll;
use crate::ch08_poll::Root;

// ANCHOR: sleep
/// Ready when `duration` has passed, counted from this call. A duration beyond what an [`Instant`]
/// can say is for ever.
///
/// Cancel safe: dropping it takes it out of the map.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { deadline: Instant::now().checked_add(duration), key: None, here: PhantomData }
}

/// Ready at `deadline`, at once if that is past.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline: Some(deadline), key: None, here: PhantomData }
}

/// The future of [`sleep`] and [`sleep_until`].
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is polled"]
pub struct Sleep {
    /// When it ends; `None` is never.
    deadline: Option<Instant>,
    /// Its entry in the map, while there is one.
    key: Option<Key>,
    /// Its entry is in the map of its thread, so it is not `Send`.
    here: PhantomData<*const ()>,
}
// ANCHOR_END: sleep

// ANCHOR: Future_for_Sleep
impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if deadline <= Instant::now() {
            self.remove();
            return Poll::Ready(());
        }
        let key = self.key;
        // What it replaces is dropped after the map is free again.
        let (key, _waker) = TIMERS.with_borrow_mut(|timers| {
            let key = key.unwrap_or_else(|| timers.key(deadline));
            (key, timers.wakers.insert(key, cx.waker().clone()))
        });
        self.key = Some(key);
        Poll::Pending
    }
}

impl Sleep {
    /// Takes its entry out of the map, if there is one.
    fn remove(&mut self) {
        if let Some(key) = self.key.take() {
            // An error means that the thread is ending, and the map has gone before us.
            let _waker = TIMERS.try_with(|timers| timers.borrow_mut().wakers.remove(&key));
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.remove();
    }
}
// ANCHOR_END: Future_for_Sleep

// ANCHOR: Timers
/// The timers of a thread.
#[derive(Debug, Default)]
struct Timers {
    /// Whom to wake, and when.
    wakers: BTreeMap<Key, Waker>,
    /// How many keys there have been.
    keys: u64,
}

/// A deadline, and a number that tells timers with the same deadline apart.
type Key = (Instant, u64);

thread_local! {
    static TIMERS: RefCell<Timers> = RefCell::default();
}

impl Timers {
    /// A new key for a timer that ends at `deadline`.
    fn key(&mut self, deadline: Instant) -> Key {
        self.keys += 1;
        (deadline, self.keys)
    }

    /// How long to sleep at most; `None` is for ever.
    fn timeout(&self) -> Option<Duration> {
        let ((deadline, _), _) = self.wakers.first_key_value()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Takes out what is due at `now`, the earliest first.
    fn due(&mut self, now: Instant) -> BTreeMap<Key, Waker> {
        let later = self.wakers.split_off(&(now, u64::MAX));
        mem::replace(&mut self.wakers, later)
    }
}
// ANCHOR_END: Timers

// ANCHOR: wait
/// Sleeps until a descriptor is ready or a timer is due, unless `awake` holds, and wakes whoever
/// waited for it. Returns early when unparked, or when a signal comes.
///
/// # Errors
/// What the system call says.
pub fn wait(awake: impl Fn() -> bool) -> io::Result<()> {
    let timeout = TIMERS.with_borrow(|timers| timers.timeout());
    ch08_poll::wait(timeout, awake)?;
    if timeout.is_some() {
        let due = TIMERS.with_borrow_mut(|timers| timers.due(Instant::now()));
        due.into_values().for_each(Waker::wake);
    }
    Ok(())
}
// ANCHOR_END: wait

// ANCHOR: block_on
/// Runs `future` to completion on this thread, which sleeps in the kernel while it is pending, and
/// no longer than to the next deadline.
///
/// # Panics
/// When this thread's reactor cannot be made, or the system refuses to wait.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let root = Root::new().expect("a reactor for this thread");
    let waker = Waker::from(root.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !root.take_wake() {
            wait(|| root.is_woken()).expect("the system waits");
        }
    }
}
// ANCHOR_END: block_on

// ANCHOR: timeout
/// Runs `future` for `duration` at most. When the time is over, the future is dropped with the
/// [`Timeout`].
///
/// A future that is ready when the time is over still wins: it is asked first.
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep(duration) }
}

pin_project! {
    /// The future of [`timeout`].
    #[derive(Debug)]
    #[must_use = "a timeout does nothing unless it is polled"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.poll(cx).map(|()| Err(Elapsed))
    }
}

/// The time was over before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over")
    }
}

impl Error for Elapsed {}
// ANCHOR_END: timeout

// ANCHOR: interval
/// Ticks every `period`, the first time at once.
///
/// # Panics
/// When `period` is zero.
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period longer than zero");
    Interval { next: Instant::now(), period }
}

/// See [`interval`].
#[derive(Debug)]
pub struct Interval {
    /// When the next tick is due.
    next: Instant,
    /// From one tick to the next.
    period: Duration,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due. Ticks that were missed follow at once,
    /// one after the other, so that their number is right.
    ///
    /// Cancel safe: a tick that was not waited for to the end is not lost.
    pub async fn tick(&mut self) -> Instant {
        let due = self.next;
        sleep_until(due).await;
        self.next = due + self.period;
        due
    }
}
// ANCHOR_END: interval
