//! # Layer 14 · wait lists
//!
//! **Before.** A leaf of `ch05_handoff` has a place for one waker, so one task can wait at it. And
//! since `ch13_race` whoever waits may be dropped at any moment, also after it was woken.
//!
//! **Idea.** Many wait in a queue of tickets. The first of them is *called*: what it was called for
//! is its own from then on. Dropped before it has gone on, it passes the call on.
//!
//! **Invariants.**
//! 1. *In order:* they are called in the order in which they came, and nobody overtakes them.
//! 2. *Nothing lost:* a call is spare, or with one who was called, or used.
//! 3. *Gone is gone:* who is dropped while it waits is in no queue, and is not woken.
//! 4. *Unlocked:* while a lock is held nobody is woken, and no waker and no value is dropped.
//! 5. *Once grown:* neither a message nor a wait allocates.
//!
//! **Still wrong.** These are parts. Each server has to put them together by itself: to accept, to
//! limit, to hand over, to end in good order. The next layer does it once.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
// std's mutex stops its thread, the one below makes a task wait: so std's has another name here.
use std::sync::Mutex as Lock;
use std::task::{Context, Poll, Waker};

use futures::Stream;

use crate::ch01_future::poll_fn;
use crate::ch05_handoff::wake_all;

// ANCHOR: WaitList
/// Who waits to be called. It stands behind a lock, together with what the calls are about.
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
    /// How often all who waited were dismissed.
    dismissals: u64,
}
// ANCHOR_END: WaitList

// ANCHOR: call
impl<S> WaitList<S> {
    /// Who comes is called at once (`true`), has to wait, or is dismissed (`false`).
    fn enter(&mut self) -> Poll<bool> {
        if self.most > 0 && self.spare == 0 {
            return Poll::Pending;
        }
        self.spare = self.spare.saturating_sub(1);
        Poll::Ready(self.most > 0)
    }

    /// Calls the first who waits: here is its waker. If nobody does, the call is kept.
    fn call(&mut self) -> Option<Waker> {
        // ANCHOR: todo_14_1 call the first in the queue who was not called yet, or keep the call
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

    /// Dismisses all who wait: here are their wakers.
    fn dismiss(&mut self) -> Vec<Waker> {
        self.dismissals += 1;
        self.queue.drain(self.called..).filter_map(|(_, waker)| waker).collect()
    }

    /// Dismisses all who wait, and all who come from now on.
    fn close(&mut self) -> Vec<Waker> {
        (self.most, self.spare) = (0, 0);
        self.dismiss()
    }

    /// Where `ticket` is in the queue.
    fn find(&self, ticket: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }

    /// As `enter`, for one who has a ticket.
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

/// Makes a change under the lock, and wakes whom it returns when the lock is free.
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
        // ANCHOR: todo_14_2 go in, or ask for the turn of the ticket; who waits leaves a waker
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

/// A number of permits. Who finds none waits, in order of arrival.
#[derive(Debug)]
pub struct Semaphore {
    list: Lock<WaitList<()>>,
}

/// A permit of a [`Semaphore`], which gets it back when this is dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back at once"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
}

// ANCHOR: Semaphore
impl Semaphore {
    /// Waits for a permit; an error, if the semaphore is or gets closed. Cancel safe: dropped, it has
    /// taken no permit, and has lost its place in the queue.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        // ANCHOR: todo_14_4 a permit, if there is one now; if not, a place in the queue
        if let Ok(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let called = Place::new(&self.list).await;
        called.then(|| SemaphorePermit { semaphore: self }).ok_or(AcquireError::Closed)
        // ANCHOR_END: todo_14_4
    }

    /// Adds `n` permits. Those who wait come first.
    pub fn add_permits(&self, n: usize) {
        change(&self.list, |list| list.call_each(n));
    }
}
// ANCHOR_END: Semaphore

impl Semaphore {
    /// A semaphore with `permits` permits.
    pub fn new(permits: usize) -> Self {
        Semaphore { list: WaitList::new(permits, usize::MAX, ()) }
    }

    /// Takes a permit, if there is one now.
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

    /// Gives no more permits: who waits for one has an error.
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

/// A value for one task at a time. Who finds it taken waits, in order of arrival.
///
/// Its guard may be held across an `.await`; where there is none, std's mutex is the faster one.
/// To lock moves the value into the guard: put a large one into a box.
#[derive(Debug)]
pub struct Mutex<T> {
    /// The state is the value, unless a guard has it.
    list: Lock<WaitList<Option<T>>>,
}

/// The value of a [`Mutex`], which gets it back when this is dropped.
#[derive(Debug)]
#[must_use = "a guard that is dropped unlocks at once"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// There as long as the guard is.
    value: Option<T>,
}

// ANCHOR: Mutex
impl<T> Mutex<T> {
    /// Waits for the value. Cancel safe, but for the place in the queue.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
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

    /// Takes the value, if nobody has it, and nobody is about to.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let mut list = self.list.lock().unwrap();
        let called = list.enter() == Poll::Ready(true);
        let guard = called.then(|| MutexGuard { mutex: self, value: list.state.take() });
        guard.ok_or(TryLockError::Locked)
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
    list: Lock<WaitList<()>>,
}

impl Notify {
    /// Nobody waits, and nothing has happened.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Notify { list: WaitList::new(0, 1, ()) }
    }

    /// Notifies the first who waits. If nobody does, the next who comes: one, and no more.
    pub fn notify_one(&self) {
        change(&self.list, WaitList::call);
    }
}

// ANCHOR: Notify
impl Notify {
    /// Notifies all who have called [`notified`](Notify::notified), also who was not polled yet.
    pub fn notify_waiters(&self) {
        change(&self.list, WaitList::dismiss);
    }

    /// Waits to be notified. Cancel safe: dropped when `notify_one` has chosen it, it passes that on.
    pub fn notified(&self) -> impl Future<Output = ()> {
        let mut place = Place::new(&self.list);
        place.dismissals = self.list.lock().unwrap().dismissals;
        async {
            place.await;
        }
    }
}
// ANCHOR_END: Notify

/// A channel for many senders and one receiver, with room for `n` messages, which is not 0.
///
/// ```
/// use under_await::ch04_park::block_on;
/// use under_await::ch14_sync::channel;
///
/// let (sender, mut receiver) = channel(1);
/// std::thread::spawn(move || block_on(sender.send("hello")));
/// assert_eq!(block_on(receiver.recv()), Some("hello"));
/// assert_eq!(block_on(receiver.recv()), None);
/// ```
pub fn channel<T>(n: usize) -> (Sender<T>, Receiver<T>) {
    assert!(n > 0, "a channel has room for a message or more");
    let messages = Messages { queue: VecDeque::new(), receiver: None, senders: 1 };
    let room = Arc::new(WaitList::new(n, n, messages));
    (Sender { room: room.clone() }, Receiver { room })
}

/// As [`channel`], with room for all there is memory for: to send is not to wait.
pub fn unbounded<T>() -> (UnboundedSender<T>, Receiver<T>) {
    let (sender, receiver) = channel(usize::MAX);
    (UnboundedSender { sender }, receiver)
}

/// What was sent and not received. The list around it is that of the senders, who wait for room.
#[derive(Debug)]
struct Messages<T> {
    /// The oldest is the first.
    queue: VecDeque<T>,
    /// The receiver's newest waker, if it found no message.
    receiver: Option<Waker>,
    /// How many senders there are.
    senders: usize,
}

/// Sends into a [`channel`]; its clones send into the same.
#[derive(Debug)]
pub struct Sender<T> {
    room: Arc<Lock<WaitList<Messages<T>>>>,
}

/// Sends into an [`unbounded`] channel; its clones send into the same.
#[derive(Debug)]
pub struct UnboundedSender<T> {
    sender: Sender<T>,
}

/// Receives what was sent into a channel; a [`Stream`] too. To drop it is to close the channel.
#[derive(Debug)]
pub struct Receiver<T> {
    room: Arc<Lock<WaitList<Messages<T>>>>,
}

impl<T> Sender<T> {
    /// Waits for room, and sends; gives the value back, if the receiver has closed the channel or has
    /// gone. Dropped while it waits, it has sent nothing, and the value is dropped with it.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        let sent = match self.put(value, false) {
            Err(TrySendError::Full(value)) => {
                let called = Place::new(&self.room).await;
                self.put(value, called)
            }
            sent => sent,
        };
        sent.map_err(|error| SendError(error.into_inner()))
    }

    /// Sends, if there is room, or if we were `called` because there is.
    fn put(&self, value: T, called: bool) -> Result<(), TrySendError<T>> {
        let mut room = self.room.lock().unwrap();
        let turn = if called { Poll::Ready(room.most > 0) } else { room.enter() };
        match turn {
            Poll::Ready(true) => room.state.queue.push_back(value),
            Poll::Ready(false) => return Err(TrySendError::Closed(value)),
            Poll::Pending => return Err(TrySendError::Full(value)),
        }
        let receiver = room.state.receiver.take();
        drop(room);
        wake_all(receiver);
        Ok(())
    }

    /// Sends, if there is room now and nobody waits for it; gives the value back, if not.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.put(value, false)
    }

    /// Whether the receiver has closed the channel, or has gone.
    pub fn is_closed(&self) -> bool {
        self.room.lock().unwrap().most == 0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.room.lock().unwrap().state.senders += 1;
        Sender { room: self.room.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        change(&self.room, |room| {
            room.state.senders -= 1;
            if room.state.senders == 0 { room.state.receiver.take() } else { None }
        });
    }
}

impl<T> UnboundedSender<T> {
    /// Sends; gives the value back, if the receiver has closed the channel or has gone.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.sender.try_send(value).map_err(|error| SendError(error.into_inner()))
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        UnboundedSender { sender: self.sender.clone() }
    }
}

// ANCHOR: try_recv
impl<T> Receiver<T> {
    /// Takes the oldest message; if there is none, says whether there will be.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        // ANCHOR: todo_14_5 the oldest message, and its room to a sender; or why there is none
        let mut room = self.room.lock().unwrap();
        let Some(message) = room.state.queue.pop_front() else {
            let over = room.most == 0 || room.state.senders == 0;
            return Err(if over { TryRecvError::Disconnected } else { TryRecvError::Empty });
        };
        let next = room.call();
        drop(room);
        wake_all(next);
        Ok(message)
        // ANCHOR_END: todo_14_5
    }
}
// ANCHOR_END: try_recv

impl<T> Receiver<T> {
    /// Polls for a message, as [`recv`](Receiver::recv) does.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut found = self.try_recv();
        if let Err(TryRecvError::Empty) = found {
            // What is sent before the second look is seen by it; what comes later finds the waker.
            let newest = Some(cx.waker().clone());
            let _older = mem::replace(&mut self.room.lock().unwrap().state.receiver, newest);
            found = self.try_recv();
        }
        match found {
            Err(TryRecvError::Empty) => Poll::Pending,
            found => Poll::Ready(found.ok()),
        }
    }

    /// Waits for a message; `None`, if there is none and no sender, or none and the channel is closed.
    /// Cancel safe: dropped, it has taken no message.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Closes the channel. What was sent can still be received; who waits for room has an error.
    pub fn close(&mut self) {
        change(&self.room, WaitList::close);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
        // The lock is free at the end of the statement; the messages are dropped after that.
        let _messages = mem::take(&mut self.room.lock().unwrap().state.queue);
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(cx)
    }
}

/// Errors, with words for each of their cases.
macro_rules! errors {
    ($($error:ident $(<$T:ident>)? { $($case:ident $(($value:ident))? = $words:literal),+ })+) => { $(
        /// Why it could not be done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $error $(<$T>)? {
            $( #[doc = $words] $case $(($value))? ),+
        }

        impl $(<$T>)? fmt::Display for $error $(<$T>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $( $error::$case { .. } => $words ),+ })
            }
        }

        impl $(<$T: fmt::Debug>)? Error for $error $(<$T>)? {}
    )+ };
}

errors! {
    AcquireError { Closed = "the semaphore is closed" }
    TryAcquireError { Closed = "the semaphore is closed", NoPermits = "there is no permit now" }
    TryLockError { Locked = "the mutex is locked" }
    TrySendError<T> { Full(T) = "the channel is full", Closed(T) = "the channel is closed" }
    TryRecvError { Empty = "no message is there yet", Disconnected = "no message will come" }
}

impl<T> TrySendError<T> {
    /// What was to be sent.
    pub fn into_inner(self) -> T {
        let (TrySendError::Full(value) | TrySendError::Closed(value)) = self;
        value
    }
}

/// The channel is closed; here is what was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed")
    }
}

impl<T: fmt::Debug> Error for SendError<T> {}
