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
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

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

use under_await::budget::poll_spending;
use under_await::ch05_handoff::wake_all;
use under_await::ch08_poll;
use under_await::ch08_poll::Root;

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
        todo!("9.1: remove the key from this thread's timers; no panic if they are gone")
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Without a deadline, there is nothing that would ever wake anybody.
        let Some(key) = self.key else { return Poll::Pending };
        // A loop of sleeps that are over at once keeps no other task from its turn.
        poll_spending(cx, |cx| {
            todo!("9.2: at the deadline, leave the map and be ready; before, leave the waker")
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The timers of a thread: which wakers to wake, and when.
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

impl Timers {
    /// How long it is from `now` to the first deadline: nothing, if that is past. `None` is for
    /// ever: there are no timers.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        let (first, _) = self.wakers.first_key_value()?;
        Some(first.deadline.saturating_duration_since(now))
    }

    /// Takes out the first timer, if it is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        todo!("9.3: remove the first entry, unless its deadline is still to come")
    }
}

/// How many timers of this thread wait: sleeps that were polled, and are neither over nor dropped.
pub fn pending_timers() -> usize {
    TIMERS.with_borrow(|timers| timers.wakers.len())
}

/// Sleeps until a descriptor is ready or a timer is due, unless `awake` holds; wakes the futures
/// that waited for it. Returns early when the thread is unparked, or when a signal comes.
///
/// # Errors
/// What the system call says.
pub fn wait(awake: impl Fn() -> bool) -> io::Result<()> {
    todo!("9.4: wait at most to the first deadline, then wake one by one all that are due")
}

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
        // At least once: a future that wakes itself must not keep the others from their deadlines.
        while {
            wait(|| root.is_woken()).expect("the system waits");
            !root.take_wake()
        } {}
    }
}

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

/// What the chapter does not show.
pub mod extend {
    // What chapter 9 asks beyond its layer.

    use std::time::{Duration, Instant};

    use super::sleep_until;

    /// What a ticker does when the next tick is due already as it takes one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum MissedTicks {
        /// Catch up: every tick comes, the missed ones at once, and all are due when they always were.
        Burst,
        /// Start anew: the next tick is due a whole period from now.
        Delay,
        /// Leave out: the next tick is the first one of the old timetable that is still to come.
        Skip,
    }

    /// When the tick after the one of `due` is due, if that one is taken at `now`, which is not before
    /// `due`. As long as no tick was missed, it is a period after `due` whatever the policy: a ticker
    /// that is a little late each time must not fall behind.
    pub fn next_tick(missed: MissedTicks, due: Instant, now: Instant, period: Duration) -> Instant {
        todo!("9.5: a period after `due`; if that is not after `now`, what the policy says")
    }

    /// An interval with a policy.
    #[derive(Debug)]
    pub struct Ticker {
        /// When the next tick is due.
        next: Instant,
        period: Duration,
        missed: MissedTicks,
    }

    impl Ticker {
        /// Ticks every `period`, the first time at once.
        pub fn new(period: Duration, missed: MissedTicks) -> Self {
            Ticker { next: Instant::now(), period, missed }
        }

        /// Waits for the next tick, and returns when it was due.
        pub async fn tick(&mut self) -> Instant {
            let due = self.next;
            sleep_until(due).await;
            self.next = next_tick(self.missed, due, Instant::now(), self.period);
            due
        }
    }

    /// What to tell `poll(2)`, which counts in whole milliseconds and takes -1 for "for ever": so that
    /// it does not return before `timeout` is over, and no later than it has to. What is too long for
    /// an `i32` becomes the longest wait there is; the caller looks at the clock and waits again.
    pub fn milliseconds(timeout: Option<Duration>) -> i32 {
        todo!("9.6: what `milliseconds_in_short` is meant to be, right for every duration")
    }

    /// The version to mend. Every sleep that goes through it is over in time, and yet it is wrong twice.
    pub fn milliseconds_in_short(timeout: Option<Duration>) -> i32 {
        timeout.map_or(-1, |timeout| timeout.as_millis() as i32)
    }

    /// How many slots a wheel has.
    pub const SLOTS: u64 = 256;

    /// A hashed wheel: timers by the tick at which they are due, in a ring of slots. What is due at
    /// tick 3, at `3 + SLOTS` and at `3 + 2 * SLOTS` shares a slot. To put a timer in or to take one
    /// out is to look at one slot, however many timers there are.
    #[derive(Debug)]
    pub struct Wheel {
        /// In slot `tick % SLOTS`, in any order: the ticks at which timers are due, and their ids.
        slots: Vec<Vec<(u64, u64)>>,
        /// The next tick to look at: what was due before it has been taken out.
        next: u64,
    }

    impl Wheel {
        /// A wheel at tick 0, without timers.
        #[allow(clippy::new_without_default)] // `new` is the name in this field.
        pub fn new() -> Self {
            Wheel { slots: vec![Vec::new(); SLOTS as usize], next: 0 }
        }

        /// Puts a timer in. Returns the tick at which it is due: `tick`, or the next one that is looked
        /// at, if `tick` has passed.
        pub fn insert(&mut self, tick: u64, id: u64) -> u64 {
            let tick = tick.max(self.next);
            self.slot(tick).push((tick, id));
            tick
        }

        /// Takes a timer out, by the tick that `insert` returned. Returns whether it was there.
        pub fn remove(&mut self, tick: u64, id: u64) -> bool {
            let slot = self.slot(tick);
            let found = slot.iter().position(|timer| *timer == (tick, id));
            found.map(|at| slot.swap_remove(at)).is_some()
        }

        /// Takes out all that is due at tick `now` or before, in the order of the ticks: returns the
        /// ids. However many ticks have passed, no slot is looked at twice.
        pub fn advance(&mut self, now: u64) -> Vec<u64> {
            todo!("9.7: the slots from `next` to `now`; later rounds stay where they are")
        }

        /// Where the timers of a tick stand.
        fn slot(&mut self, tick: u64) -> &mut Vec<(u64, u64)> {
            &mut self.slots[(tick % SLOTS) as usize]
        }
    }
}
