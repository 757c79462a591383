//! # Layer 9 · timers
//!
//! **Before.** `ch08_poll` sleeps until a descriptor is ready. A future cannot say *when* it wants
//! to go on; `ch05_handoff` spends a thread on each sleep.
//!
//! **Idea.** A timer is a key in an ordered map. The first key bounds the next wait of the reactor;
//! after the wait, all wakers that are due are woken.
//!
//! **Invariants.**
//! 1. *Never early:* a sleep is not over before its deadline.
//! 2. *In order:* of two timers that are due, the one with the earlier deadline is woken first.
//! 3. *One entry:* however often it is polled, a sleep has one entry; over or dropped, it has none.
//! 4. *Gone is gone:* a dropped sleep wakes nobody, even if the timer that fires before it drops it.
//! 5. *No ticking:* the thread sleeps up to the first deadline, in one piece.
//!
//! **Still wrong.** Pipes and time are all that a future can wait for so far. The next layer, the
//! net, waits for sockets.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::io;
use std::iter;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::budget::poll_spending;
use crate::ch05_handoff::wake_all;
use crate::ch08_poll;
use crate::ch08_poll::Root;

/// Ready when `duration` has passed, counted from this call. What is too long for an [`Instant`]
/// to say is for ever.
///
/// Cancel safe: dropped, it is gone without a trace.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { key: Instant::now().checked_add(duration).map(Key::new), here: PhantomData }
}

/// Ready at `deadline`: at the first poll, if that is past by then.
///
/// Cancel safe, as [`sleep`] is.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { key: Some(Key::new(deadline)), here: PhantomData }
}

/// The future of [`sleep`] and [`sleep_until`].
// ANCHOR: Sleep
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    /// Its place in the map, whether or not it stands there; `None` for a sleep without an end.
    key: Option<Key>,
    /// The map is that of one thread, so a sleep is not `Send`.
    here: PhantomData<*const ()>,
}

impl Sleep {
    /// Takes its entry out of the map, if there is one.
    fn leave(&self) {
        // ANCHOR: todo_9_1 remove the key from this thread's timers; no panic if they are gone
        if let Some(key) = self.key {
            // An error means that the thread is ending, and that its timers are gone already. The
            // waker is dropped when the map is free again: that may run anybody's code.
            let _waker = TIMERS.try_with(|timers| timers.borrow_mut().remove(key));
        }
        // ANCHOR_END: todo_9_1
    }
}
// ANCHOR_END: Sleep

// ANCHOR: Future_for_Sleep
impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Without a deadline, there is nothing that would ever wake anybody.
        let Some(key) = self.key else { return Poll::Pending };
        // A loop of sleeps that are over at once keeps no other task from its turn.
        poll_spending(cx, |cx| {
            // ANCHOR: todo_9_2 at the deadline, leave the map and be ready; before, leave the waker
            if key.deadline <= Instant::now() {
                self.leave();
                return Poll::Ready(());
            }
            // Cloning a waker may run anybody's code too, so it comes first.
            let waker = cx.waker().clone();
            let _old = TIMERS.with_borrow_mut(|timers| timers.insert(key, waker));
            Poll::Pending
            // ANCHOR_END: todo_9_2
        })
    }
}
// ANCHOR_END: Future_for_Sleep

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The timers of a thread: which wakers to wake, and when.
// ANCHOR: Timers
#[derive(Debug, Default)]
pub struct Timers {
    /// The earliest deadline is the first key.
    wakers: BTreeMap<Key, Waker>,
}

/// A deadline, and a number that tells timers with the same deadline apart. The earlier key is the
/// smaller one: the order is that of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// When its timer is due.
    deadline: Instant,
    /// How many keys this thread had made before.
    number: u64,
}
// ANCHOR_END: Timers

thread_local! {
    /// The timers of this thread.
    static TIMERS: RefCell<Timers> = RefCell::default();
    /// The number of the next key.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

impl Key {
    /// A key for a timer that is due at `deadline`, unlike all others of this thread.
    pub fn new(deadline: Instant) -> Self {
        Key { deadline, number: NUMBER.replace(NUMBER.get() + 1) }
    }
}

impl Timers {
    /// Puts `waker` under `key`; returns the one that stood there.
    pub fn insert(&mut self, key: Key, waker: Waker) -> Option<Waker> {
        self.wakers.insert(key, waker)
    }

    /// Takes out what stands under `key`.
    pub fn remove(&mut self, key: Key) -> Option<Waker> {
        self.wakers.remove(&key)
    }
}

// ANCHOR: impl_Timers
impl Timers {
    /// How long it is from `now` to the first deadline: nothing, if that is past. `None` is for
    /// ever: there are no timers.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        let (first, _) = self.wakers.first_key_value()?;
        Some(first.deadline.saturating_duration_since(now))
    }

    /// Takes out the first timer, if it is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        // ANCHOR: todo_9_3 remove the first entry, unless its deadline is still to come
        let first = self.wakers.first_entry()?;
        (first.key().deadline <= now).then(|| first.remove())
        // ANCHOR_END: todo_9_3
    }
}
// ANCHOR_END: impl_Timers

/// How many timers of this thread wait: sleeps that were polled, and are neither over nor dropped.
pub fn pending_timers() -> usize {
    TIMERS.with_borrow(|timers| timers.wakers.len())
}

/// Sleeps until a descriptor is ready or a timer is due, unless `awake` holds; wakes the futures
/// that waited for it. Returns early when the thread is unparked, or when a signal comes.
///
/// # Errors
/// What the system call says.
// ANCHOR: wait
pub fn wait(awake: impl Fn() -> bool) -> io::Result<()> {
    // ANCHOR: todo_9_4 wait at most to the first deadline, then wake one by one all that are due
    let timeout = TIMERS.with_borrow(|timers| timers.timeout(Instant::now()));
    ch08_poll::wait(timeout, awake)?;
    // Looked at once: timers that a woken task starts wait for the next round, so this one ends.
    let now = Instant::now();
    // One by one, so that the map is free: a woken task may start timers and drop them.
    wake_all(iter::from_fn(|| TIMERS.with_borrow_mut(|timers| timers.pop_due(now))));
    Ok(())
    // ANCHOR_END: todo_9_4
}
// ANCHOR_END: wait

/// Runs `future` to completion on this thread, which sleeps in the kernel while it is pending, and
/// no longer than to the next deadline.
///
/// # Panics
/// When this thread's reactor cannot be made, or the system refuses to wait.
// ANCHOR: block_on
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let root = Root::new().expect("a reactor for this thread");
    let waker = Waker::from(root.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        // At least once: a future that wakes itself must not keep the others from their deadlines.
        while {
            wait(|| root.is_woken()).expect("the system waits");
            !root.take_wake()
        } {}
    }
}
// ANCHOR_END: block_on

/// Runs `future` for `duration` at most, counted from this call.
///
/// A future that is ready when the time is over still wins: it is asked first. One that is too slow
/// is dropped together with the [`Timeout`]. Cancel safe if `future` is.
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep(duration) }
}

pin_project! {
    /// The future of [`timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        // What the caller wants.
        #[pin]
        future: F,
        // What ends it otherwise.
        #[pin]
        sleep: Sleep,
    }
}

// ANCHOR: Future_for_Timeout
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
// ANCHOR_END: Future_for_Timeout

/// The time was over before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over before the future was ready")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Ticks every `period`, the first time at once.
///
/// # Panics
/// When `period` is zero.
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval has a period longer than zero");
    Interval { next: Some(Instant::now()), period }
}

/// What [`interval`] makes: a clock that ticks.
// ANCHOR: Interval
#[derive(Debug)]
pub struct Interval {
    /// When the next tick is due; `None` is never.
    next: Option<Instant>,
    /// From one tick to the next.
    period: Duration,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due. Ticks that were missed follow at once,
    /// one after the other, so that their number is right.
    ///
    /// Cancel safe: a tick that nobody waited for to its end is the next one again.
    pub async fn tick(&mut self) -> Instant {
        let Some(due) = self.next else { return pending().await };
        sleep_until(due).await;
        self.next = due.checked_add(self.period);
        due
    }
}
// ANCHOR_END: Interval
