//! # Layer 14 · wait lists
//!
//! **Before.** A leaf of `ch05_handoff` has a place for one waker, so one task can wait at it. And
//! since `ch13_race` a waiter may be dropped at any moment, even after it was woken.
//!
//! **Idea.** Many wait in a queue of tickets. The first of them is *called*: what it was called for
//! is its own from then on. Dropped before it has gone on, it passes the call on.
//!
//! **Invariants.**
//! 1. *In order:* waiters are called in the order in which they came, and nobody overtakes them.
//! 2. *Nothing lost:* a call is spare, or with a waiter that was called, or used.
//! 3. *Gone is gone:* a waiter that is dropped is in no queue, and is not woken.
//! 4. *Unlocked:* while a lock is held nobody is woken, and no waker and no value is dropped.
//! 5. *Once grown:* neither a message nor a wait allocates.
//!
//! **Still wrong.** These are parts. Each server has to put them together on its own: to accept, to
//! limit, to hand over, to end in good order. The next layer does it once.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
// std's mutex stops its thread, the one below makes a task wait: so std's has another name here.
use std::sync::Mutex as Lock;
use std::task::{Context, Poll, Waker};

use crate::budget;
use crate::ch05_handoff::wake_all;

// ANCHOR: WaitList
/// The waiters, and the calls that found none. It stands behind a lock, with what they are about.
#[derive(Debug)]
struct WaitList<S> {
    /// What the calls are about, as far as there is more to it than their number.
    state: S,
    /// Calls that found nobody. As long as there are any, nobody waits.
    spare: usize,
    /// How many of those are kept; none, once the list is closed.
    most: usize,
    /// The tickets in their order, each with its newest waker; without one, it was called.
    queue: VecDeque<(u64, Option<Waker>)>,
    /// How many were called and have not gone on yet. They are the first in the queue.
    called: usize,
    /// The ticket that was given out last.
    latest: u64,
    /// How often all waiters were dismissed.
    dismissals: u64,
}
// ANCHOR_END: WaitList

// ANCHOR: call
impl<S> WaitList<S> {
    /// A newcomer is called at once (`true`), has to wait, or is dismissed (`false`).
    fn enter(&mut self) -> Poll<bool> {
        if self.most > 0 && self.spare == 0 {
            return Poll::Pending;
        }
        self.spare = self.spare.saturating_sub(1);
        Poll::Ready(self.most > 0)
    }

    /// Calls the first waiter: here is its waker. If there is none, the call is kept.
    fn call(&mut self) -> Option<Waker> {
        // ANCHOR: todo_14_1 call the first in the queue that was not called yet, or keep the call
        let Some((_, waker)) = self.queue.get_mut(self.called) else {
            self.spare = self.most.min(self.spare.saturating_add(1));
            return None;
        };
        self.called += 1;
        waker.take()
        // ANCHOR_END: todo_14_1
    }
}
// ANCHOR_END: call

impl<S> WaitList<S> {
    fn new(spare: usize, most: usize, state: S) -> Lock<Self> {
        let queue = VecDeque::new();
        Lock::new(WaitList { state, spare, most, queue, called: 0, latest: 0, dismissals: 0 })
    }

    /// Calls `n` times: here are the wakers.
    fn call_each(&mut self, n: usize) -> Vec<Waker> {
        let waiting = n.min(self.queue.len() - self.called);
        let wakers = (0..waiting).filter_map(|_| self.call()).collect();
        self.spare = self.most.min(self.spare.saturating_add(n - waiting));
        wakers
    }

    /// Dismisses all waiters: here are their wakers.
    fn dismiss(&mut self) -> Vec<Waker> {
        self.dismissals += 1;
        self.queue.drain(self.called..).filter_map(|(_, waker)| waker).collect()
    }

    /// Dismisses all waiters, and all that come from now on.
    fn close(&mut self) -> Vec<Waker> {
        (self.most, self.spare) = (0, 0);
        self.dismiss()
    }

    /// Where `ticket` is in the queue.
    fn find(&self, ticket: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }

    /// As `enter`, for a waiter that has a ticket.
    fn turn(&self, ticket: u64) -> Poll<bool> {
        match self.find(ticket) {
            Some(place) if place >= self.called => Poll::Pending,
            found => Poll::Ready(found.is_some()),
        }
    }

    /// Leaves `waker` with `ticket`, or with a new one, and swaps it for the waker before.
    fn keep(&mut self, ticket: Option<u64>, waker: &mut Option<Waker>) -> u64 {
        if let Some(place) = ticket.and_then(|ticket| self.find(ticket)) {
            mem::swap(&mut self.queue[place].1, waker);
            return self.queue[place].0;
        }
        self.latest += 1;
        self.queue.push_back((self.latest, waker.take()));
        self.latest
    }

    /// Takes `ticket` out of the queue; returns its waker, if it still waited.
    fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let place = self.find(ticket)?;
        self.called -= usize::from(place < self.called);
        self.queue.remove(place)?.1
    }
}

/// Makes a change under the lock. When the lock is free, wakes the wakers that `change` returned.
fn change<S, W: IntoIterator<Item = Waker>>(
    lock: &Lock<WaitList<S>>,
    change: impl FnOnce(&mut WaitList<S>) -> W,
) {
    let wakers = change(&mut lock.lock().unwrap());
    wake_all(wakers);
}

/// A place in the queue: a future that is ready when it is called (`true`) or dismissed (`false`).
/// To drop it is to leave.
struct Place<'a, S> {
    /// The list that it waits in.
    lock: &'a Lock<WaitList<S>>,
    /// After more dismissals than these we are dismissed, even without a ticket.
    dismissals: u64,
    /// From the first `Pending` until it has heard that it was called or dismissed.
    ticket: Option<u64>,
}

impl<'a, S> Place<'a, S> {
    fn new(lock: &'a Lock<WaitList<S>>) -> Self {
        Place { lock, dismissals: u64::MAX, ticket: None }
    }
}

// ANCHOR: Future_for_Place
impl<S> Future for Place<'_, S> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        // ANCHOR: todo_14_2 go in, or ask for the turn of the ticket; a waiter leaves a waker
        // Made before the lock is taken: whichever it is in the end, it is dropped after that.
        let mut waker = Some(cx.waker().clone());
        let mut list = self.lock.lock().unwrap();
        let turn = match self.ticket {
            Some(ticket) => list.turn(ticket),
            None if list.dismissals > self.dismissals => Poll::Ready(false),
            None => list.enter(),
        };
        if turn.is_pending() {
            self.ticket = Some(list.keep(self.ticket, &mut waker));
        } else if let Some(ticket) = self.ticket.take() {
            list.leave(ticket);
        }
        turn
        // ANCHOR_END: todo_14_2
    }
}
// ANCHOR_END: Future_for_Place

// ANCHOR: Drop_for_Place
impl<S> Drop for Place<'_, S> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        // ANCHOR: todo_14_3 leave the queue; if we were called, call the next
        let mut _own = None;
        change(self.lock, |list| {
            let called = list.turn(ticket) == Poll::Ready(true);
            _own = list.leave(ticket);
            if called { list.call() } else { None }
        });
        // ANCHOR_END: todo_14_3
    }
}
// ANCHOR_END: Drop_for_Place

/// A number of permits. Whoever finds none waits, in order of arrival.
#[derive(Debug)]
pub struct Semaphore {
    /// A call is a permit.
    list: Lock<WaitList<()>>,
}

/// A permit of a [`Semaphore`], which gets it back when this is dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back at once"]
pub struct SemaphorePermit<'a> {
    /// Whose permit it is.
    semaphore: &'a Semaphore,
}

// ANCHOR: Semaphore
impl Semaphore {
    /// Waits for a permit; an error, if the semaphore is or gets closed. Cancel safe: dropped, it has
    /// taken no permit, and has lost its place in the queue.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        budget::spend().await;
        // ANCHOR: todo_14_4 await a place in the queue, and make a permit if it was called
        // A place would find this permit too. To look first spares it a waker.
        if let Ok(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let called = Place::new(&self.list).await;
        called.then(|| SemaphorePermit { semaphore: self }).ok_or(AcquireError)
        // ANCHOR_END: todo_14_4
    }
}
// ANCHOR_END: Semaphore

impl Semaphore {
    /// A semaphore with `permits` permits.
    pub fn new(permits: usize) -> Self {
        Semaphore { list: WaitList::new(permits, usize::MAX, ()) }
    }

    /// Takes a permit; an error, if there is none now, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        match self.list.lock().unwrap().enter() {
            Poll::Ready(true) => Ok(SemaphorePermit { semaphore: self }),
            Poll::Ready(false) => Err(TryAcquireError::Closed),
            Poll::Pending => Err(TryAcquireError::NoPermits),
        }
    }

    /// How many permits could be taken now.
    pub fn available_permits(&self) -> usize {
        self.list.lock().unwrap().spare
    }

    /// Adds `n` permits at once, up to [`usize::MAX`] of them. Waiters come first. To a closed semaphore
    /// nothing is added.
    pub fn add_permits(&self, n: usize) {
        change(&self.list, |list| list.call_each(n));
    }

    /// Gives no more permits: waiters get an error, unless they were called already.
    pub fn close(&self) {
        change(&self.list, WaitList::close);
    }
}

impl SemaphorePermit<'_> {
    /// Keeps the permit for good: the semaphore has one less.
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        change(&self.semaphore.list, WaitList::call);
    }
}

/// A value for one task at a time. Whoever finds it taken waits, in order of arrival.
///
/// Its guard may be held across an `.await`; where there is none, std's mutex is the faster one. A
/// panic does not poison it. To lock moves the value into the guard: put a large one into a box.
pub struct Mutex<T> {
    /// The state is the value, unless a guard has it. A call is the right to take it.
    list: Lock<WaitList<Option<T>>>,
}

/// The value of a [`Mutex`], which gets it back when this is dropped.
#[must_use = "a guard that is dropped unlocks at once"]
pub struct MutexGuard<'a, T> {
    /// Where the value belongs.
    mutex: &'a Mutex<T>,
    /// There as long as the guard is.
    value: Option<T>,
}

// ANCHOR: Mutex
impl<T> Mutex<T> {
    /// Waits for the value. Cancel safe: dropped, it has lost its place in the queue, and no more.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        budget::spend().await;
        if let Ok(guard) = self.try_lock() {
            return guard;
        }
        Place::new(&self.list).await;
        MutexGuard { mutex: self, value: self.list.lock().unwrap().state.take() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        change(&self.mutex.list, |list| {
            list.state = self.value.take();
            list.call()
        });
    }
}
// ANCHOR_END: Mutex

impl<T> Mutex<T> {
    /// An unlocked mutex with `value` in it.
    pub fn new(value: T) -> Self {
        Mutex { list: WaitList::new(1, 1, Some(value)) }
    }

    /// The value, for good. Panics if a guard was forgotten: it had the value.
    pub fn into_inner(self) -> T {
        let list = self.list.into_inner().expect("nobody panics under the lock");
        list.state.expect("no guard was forgotten")
    }

    /// Takes the value; an error, if somebody has it, or was called and is about to have it.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let mut list = self.list.lock().unwrap();
        let called = list.enter() == Poll::Ready(true);
        let guard = called.then(|| MutexGuard { mutex: self, value: list.state.take() });
        guard.ok_or(TryLockError)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    /// Without the value: to show it runs code of the user's, here under the lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex { .. }")
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("a guard has the value")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a guard has the value")
    }
}

/// Tells tasks that something has happened. What it was, they look up themselves.
#[derive(Debug)]
pub struct Notify {
    /// A call is a notification for one; a dismissal is one for all.
    list: Lock<WaitList<()>>,
}

impl Notify {
    /// Nobody waits, and nothing has happened.
    pub fn new() -> Self {
        Notify { list: WaitList::new(0, 1, ()) }
    }

    /// Notifies the first waiter. If there is none, the next that comes: one, and no more.
    pub fn notify_one(&self) {
        change(&self.list, WaitList::call);
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify::new()
    }
}

// ANCHOR: Notify
impl Notify {
    /// Notifies everybody who has called [`notified`](Notify::notified), polled or not.
    pub fn notify_waiters(&self) {
        change(&self.list, WaitList::dismiss);
    }

    /// Waits to be notified. Cancel safe: dropped when `notify_one` has chosen it, it passes that on.
    pub fn notified(&self) -> impl Future<Output = ()> {
        let mut place = Place::new(&self.list);
        place.dismissals = self.list.lock().unwrap().dismissals;
        async {
            budget::spend().await;
            place.await;
        }
    }
}
// ANCHOR_END: Notify

/// The semaphore is closed, and there will be no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError;

/// Why [`Semaphore::try_acquire`] has no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed, and there will be none.
    Closed,
    /// All are taken now.
    NoPermits,
}

/// The mutex is locked, or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryLockError;

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::Closed => "the semaphore is closed",
            TryAcquireError::NoPermits => "all permits are taken",
        })
    }
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mutex is locked")
    }
}

impl Error for AcquireError {}
impl Error for TryAcquireError {}
impl Error for TryLockError {}

pub mod mpsc;
pub use self::mpsc::{Receiver, Sender, UnboundedSender, channel, unbounded};
pub use self::mpsc::{SendError, TryRecvError, TrySendError};
