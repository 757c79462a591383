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
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
// std's mutex stops its thread, the one below makes a task wait: so std's has another name here.
// As std's. When the checks play every order, it stops before each `lock`, to let the other side in.
use crate::support::schedules::model::Mutex as Lock;
use std::task::{Context, Poll, Waker};

use under_await::budget;
use under_await::ch05_handoff::wake_all;

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
        todo!("14.1: call the first in the queue that was not called yet, or keep the call")
    }
}

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

impl<S> Future for Place<'_, S> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        todo!("14.2: go in, or ask for the turn of the ticket; a waiter leaves a waker")
    }
}

impl<S> Drop for Place<'_, S> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        todo!("14.3: leave the queue; if we were called, call the next")
    }
}

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

impl Semaphore {
    /// Waits for a permit; an error, if the semaphore is or gets closed. Cancel safe: dropped, it has
    /// taken no permit, and has lost its place in the queue.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        budget::spend().await;
        todo!("14.4: await a place in the queue, and make a permit if it was called")
    }
}

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

pub mod mpsc {
    //! # Layer 14, second part · a channel
    //!
    //! Many senders, one receiver. A sender that finds no room waits in the list of this layer, and a call
    //! is room for one message. The messages stand behind the same lock.

    use std::collections::VecDeque;
    use std::error::Error;
    use std::fmt;
    use std::mem;
    use std::pin::Pin;
    use std::sync::Arc;
    // As std's. When the checks play every order, it stops before each `lock`, to let the other side in.
    use crate::support::schedules::model::Mutex as Lock;
    use std::task::{Context, Poll, Waker, ready};

    use futures::{Sink, Stream};

    use under_await::budget;
    use under_await::ch01_future::poll_fn;
    use under_await::ch05_handoff::wake_all;
    use super::{Place, WaitList, change};

    /// A channel for many senders and one receiver, with room for `n` messages.
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
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn channel<T>(n: usize) -> (Sender<T>, Receiver<T>) {
        assert!(n > 0, "a channel has room for a message or more");
        let messages = Messages { queue: VecDeque::new(), receiver: None, senders: 1 };
        let room = Arc::new(WaitList::new(n, n, messages));
        (Sender::new(room.clone()), Receiver { room })
    }

    /// As [`channel`], with room for all there is memory for: to send is not to wait.
    pub fn unbounded<T>() -> (UnboundedSender<T>, Receiver<T>) {
        let (sender, receiver) = channel(usize::MAX);
        (UnboundedSender { sender }, receiver)
    }

    /// What both sides share: the messages, behind the lock of the list of senders that wait for room.
    type Room<T> = Arc<Lock<WaitList<Messages<T>>>>;

    /// How the methods of a sink end.
    type Sent = Result<(), SendError<()>>;

    /// What was sent and not received.
    struct Messages<T> {
        /// The oldest is the first.
        queue: VecDeque<T>,
        /// The receiver's newest waker, if it found no message.
        receiver: Option<Waker>,
        /// How many senders there are.
        senders: usize,
    }

    /// Sends into a [`channel`]; its clones send into the same. It is a [`Sink`], too.
    pub struct Sender<T> {
        /// The channel.
        room: Room<T>,
        /// The place in the queue that it has as a sink, which outlives the poll that took it.
        ticket: Option<u64>,
        /// Whether it has room as a sink, and has not used it yet.
        called: bool,
    }

    /// Sends into an [`unbounded`] channel; its clones send into the same. It is a [`Sink`], too.
    pub struct UnboundedSender<T> {
        /// There is always room for it.
        sender: Sender<T>,
    }

    /// Receives what was sent into a channel; it is a [`Stream`], too. To drop it is to close the channel.
    pub struct Receiver<T> {
        /// The channel.
        room: Room<T>,
    }

    impl<T> Sender<T> {
        fn new(room: Room<T>) -> Self {
            Sender { room, ticket: None, called: false }
        }

        /// Waits for room, and sends; gives the value back, if the receiver has closed the channel or
        /// is gone. Dropped while it waits, it has sent nothing: the value is dropped with it, and its
        /// place in the queue is lost.
        pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
            budget::spend().await;
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

        /// Whether the receiver has closed the channel, or is gone.
        pub fn is_closed(&self) -> bool {
            self.room.lock().unwrap().most == 0
        }
    }

    impl<T> Clone for Sender<T> {
        fn clone(&self) -> Self {
            self.room.lock().unwrap().state.senders += 1;
            Sender::new(self.room.clone())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            // As a sink it may have a place in the queue, or room.
            drop(Place { ticket: self.ticket, ..Place::new(&self.room) });
            change(&self.room, |room| {
                let next = if self.called { room.call() } else { None };
                room.state.senders -= 1;
                let receiver = if room.state.senders == 0 { room.state.receiver.take() } else { None };
                next.into_iter().chain(receiver)
            });
        }
    }

    /// As a sink, a sender is ready when it has room. It keeps that until it sends, or goes.
    impl<T> Sink<T> for Sender<T> {
        /// What could not be sent is dropped. Whoever wants it back uses `send`.
        type Error = SendError<()>;

        fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent> {
            let sender = &mut *self;
            if !sender.called {
                // A place for this poll, with the ticket of the one before.
                sender.called = ready!(budget::poll_spending(cx, |cx| {
                    let mut place = Place { ticket: sender.ticket.take(), ..Place::new(&sender.room) };
                    let turn = Pin::new(&mut place).poll(cx);
                    sender.ticket = place.ticket.take();
                    turn
                }));
            }
            Poll::Ready(sender.called.then_some(()).ok_or(SendError(())))
        }

        /// # Panics
        /// When `poll_ready` was not ready before.
        fn start_send(mut self: Pin<&mut Self>, value: T) -> Sent {
            assert!(mem::take(&mut self.called), "`poll_ready` is ready before `start_send`");
            self.put(value, true).map_err(|_| SendError(()))
        }

        /// Ready at once: what was sent is in the channel.
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Sent> {
            Poll::Ready(Ok(()))
        }

        /// The sender goes from its channel, as if it were dropped, and belongs to a closed one instead.
        fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Sent> {
            *self = channel(1).0;
            Poll::Ready(Ok(()))
        }
    }

    impl<T> UnboundedSender<T> {
        /// Sends; gives the value back, if the receiver has closed the channel or is gone.
        pub fn send(&self, value: T) -> Result<(), SendError<T>> {
            self.sender.try_send(value).map_err(|error| SendError(error.into_inner()))
        }

        /// Whether the receiver has closed the channel, or is gone.
        pub fn is_closed(&self) -> bool {
            self.sender.is_closed()
        }
    }

    impl<T> Clone for UnboundedSender<T> {
        fn clone(&self) -> Self {
            UnboundedSender { sender: self.sender.clone() }
        }
    }

    /// As a sink, it never waits for room.
    impl<T> Sink<T> for UnboundedSender<T> {
        /// What could not be sent is dropped. Whoever wants it back uses `send`.
        type Error = SendError<()>;

        fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent> {
            Pin::new(&mut self.sender).poll_ready(cx)
        }

        fn start_send(mut self: Pin<&mut Self>, value: T) -> Sent {
            Pin::new(&mut self.sender).start_send(value)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent> {
            Pin::new(&mut self.sender).poll_flush(cx)
        }

        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent> {
            Pin::new(&mut self.sender).poll_close(cx)
        }
    }

    impl<T> Receiver<T> {
        /// Takes the oldest message; an error, if there is none, says whether there will be.
        pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
            todo!("14.5: the oldest message, and its room to a sender; or why there is none")
        }
    }

    impl<T> Receiver<T> {
        /// Polls for a message, as [`recv`](Receiver::recv) does.
        pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
            budget::poll_spending(cx, |cx| {
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
            })
        }

        /// Waits for a message; `None`, if there is none and no sender, or none and the channel is closed.
        /// Cancel safe: dropped, it has taken no message.
        pub async fn recv(&mut self) -> Option<T> {
            poll_fn(|cx| self.poll_recv(cx)).await
        }

        /// Closes the channel. What was sent can still be received; senders that wait get an error.
        pub fn close(&mut self) {
            change(&self.room, WaitList::close);
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            self.close();
            // All of it is dropped when the lock is free.
            let mut _left = Messages { queue: VecDeque::new(), receiver: None, senders: 0 };
            let state = &mut self.room.lock().unwrap().state;
            (_left.queue, _left.receiver) = (mem::take(&mut state.queue), state.receiver.take());
        }
    }

    impl<T> Stream for Receiver<T> {
        type Item = T;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
            self.poll_recv(cx)
        }
    }

    /// The channel is closed; here is what was to be sent.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct SendError<T>(pub T);

    /// Why [`Sender::try_send`] has not sent; here is what was to be sent.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub enum TrySendError<T> {
        /// There is no room now, or others wait for it.
        Full(T),
        /// The receiver has closed the channel, or is gone.
        Closed(T),
    }

    /// Why [`Receiver::try_recv`] has no message.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TryRecvError {
        /// None is there yet.
        Empty,
        /// There are no more, and none will come.
        Disconnected,
    }

    impl<T> TrySendError<T> {
        /// What was to be sent.
        pub fn into_inner(self) -> T {
            let (TrySendError::Full(value) | TrySendError::Closed(value)) = self;
            value
        }
    }

    impl<T> fmt::Display for SendError<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the channel is closed")
        }
    }

    impl<T> fmt::Display for TrySendError<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                TrySendError::Full(_) => "the channel is full",
                TrySendError::Closed(_) => "the channel is closed",
            })
        }
    }

    impl fmt::Display for TryRecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                TryRecvError::Empty => "no message is there yet",
                TryRecvError::Disconnected => "no message will come",
            })
        }
    }

    impl<T> Error for SendError<T> {}
    impl<T> Error for TrySendError<T> {}
    impl Error for TryRecvError {}

    /// None of them shows a message: to show one runs code of the user's, here under the lock.
    macro_rules! without_messages {
        ($($name:ident as $shown:literal),+) => {$(
            impl<T> fmt::Debug for $name<T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str($shown)
                }
            }
        )+};
    }

    without_messages!(Sender as "Sender { .. }", UnboundedSender as "UnboundedSender { .. }");
    without_messages!(Receiver as "Receiver { .. }", SendError as "SendError(..)");

    impl<T> fmt::Debug for TrySendError<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                TrySendError::Full(_) => "Full(..)",
                TrySendError::Closed(_) => "Closed(..)",
            })
        }
    }
}
pub use self::mpsc::{Receiver, Sender, UnboundedSender, channel, unbounded};
pub use self::mpsc::{SendError, TryRecvError, TrySendError};

/// What the chapter does not show.
pub mod extend {
    // What chapter 14 asks beyond its layer.
    //
    // The lock here, and in your file that of the layer, is from `support/schedules.rs`. It does what std's
    // does, and stops each time it is to be taken, for the checks that play two sides in every order.

    use std::collections::VecDeque;
    use std::mem;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::{Notify, Receiver, Sender, channel};
    use crate::support::schedules::{model::Mutex as Lock, point};

    /// A channel with room for one message, whose sender the checks use as a sink.
    pub fn sink() -> (Sender<u32>, Receiver<u32>) {
        channel(1)
    }

    /// Sends every message to all subscribers. The latest `room` messages are kept: a subscriber that
    /// is slower than that misses some, and is told how many. When this is dropped, it is over.
    #[derive(Debug)]
    pub struct Broadcast<T> {
        shared: Arc<Shared<T>>,
    }

    /// Gets every message that was broadcast since it subscribed.
    #[derive(Debug)]
    pub struct Subscriber<T> {
        shared: Arc<Shared<T>>,
        /// The number of the message that it gets next.
        next: u64,
    }

    /// What the two sides share. The checks stop at each of its steps, to let the other side come in
    /// between.
    #[derive(Debug)]
    struct Shared<T> {
        log: Lock<Log<T>>,
        /// Notifies all, after something was added to the log.
        news: Notify,
    }

    /// The latest messages.
    #[derive(Debug)]
    struct Log<T> {
        messages: VecDeque<T>,
        /// The number of the first of them.
        first: u64,
        /// How many are kept.
        room: usize,
        /// Whether there will be no more.
        over: bool,
    }

    /// What a subscriber finds in the log.
    #[derive(Debug)]
    enum Look<T> {
        /// The message that it gets next.
        Message(T),
        /// That message is gone, and as many as these in all.
        Missed(u64),
        /// That message is still to come.
        Nothing,
        /// It will not come.
        Over,
    }

    /// Why a subscriber has no message.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum RecvError {
        /// It was too slow, and has missed this many. The next one is there.
        Lagged(u64),
        /// The broadcast is over.
        Closed,
    }

    impl<T: Clone> Broadcast<T> {
        /// A broadcast that keeps `room` messages.
        pub fn new(room: usize) -> Self {
            let log = Log { messages: VecDeque::new(), first: 0, room, over: false };
            Broadcast { shared: Arc::new(Shared { log: Lock::new(log), news: Notify::new() }) }
        }

        /// Sends `message` to all subscribers.
        pub fn send(&self, message: T) {
            self.shared.add(message);
            self.shared.tell();
        }

        /// A subscriber that gets all messages from now on.
        pub fn subscribe(&self) -> Subscriber<T> {
            let log = self.shared.log.lock().unwrap();
            Subscriber { shared: self.shared.clone(), next: log.first + log.messages.len() as u64 }
        }
    }

    impl<T> Drop for Broadcast<T> {
        fn drop(&mut self) {
            self.shared.log.lock().unwrap().over = true;
            self.shared.tell();
        }
    }

    impl<T: Clone> Shared<T> {
        /// Looks for the message with the number `next`.
        fn look(&self, next: u64) -> Look<T> {
            point("look");
            let log = self.log.lock().unwrap();
            match next.checked_sub(log.first).map(|at| log.messages.get(at as usize)) {
                None => Look::Missed(log.first - next),
                Some(Some(message)) => Look::Message(message.clone()),
                Some(None) if log.over => Look::Over,
                Some(None) => Look::Nothing,
            }
        }

        /// Adds a message to the log.
        fn add(&self, message: T) {
            point("add the message");
            let mut log = self.log.lock().unwrap();
            log.messages.push_back(message);
            if log.messages.len() > log.room {
                let _oldest = log.messages.pop_front();
                log.first += 1;
            }
        }
    }

    impl<T> Shared<T> {
        /// Asks for news, now: the future is ready at the next `tell`.
        fn news(&self) -> impl Future<Output = ()> {
            point("ask for news");
            self.news.notified()
        }

        /// Tells all that have asked for news.
        fn tell(&self) {
            point("tell all");
            self.news.notify_waiters();
        }
    }

    impl<T: Clone> Subscriber<T> {
        /// Waits for the next message. Cancel safe: dropped, it has taken none.
        pub async fn recv(&mut self) -> Result<T, RecvError> {
            todo!("14.6: look for the next message; wait for news in such a way that none is lost")
        }
    }

    /// A number of passes. It wakes the first waiter and keeps nothing for it: the waiter comes and
    /// takes a pass, if nobody was faster. That is the other way to make a wait list.
    #[derive(Debug)]
    pub struct Gate {
        passes: Lock<Passes>,
    }

    /// What a gate has behind its lock.
    #[derive(Debug)]
    struct Passes {
        /// The passes that are there to be taken.
        free: usize,
        /// The waiters that were not woken.
        queue: VecDeque<(u64, Waker)>,
        /// The ticket that was given out last.
        latest: u64,
    }

    /// Ready when it has a pass. To be repaired: see its `drop`.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Enter<'a> {
        gate: &'a Gate,
        /// Its ticket, from its first `Pending` until it is ready. When it is woken, it is not in the
        /// queue any more, and has the ticket still.
        ticket: Option<u64>,
    }

    impl Passes {
        /// Where `ticket` is in the queue.
        fn find(&self, ticket: Option<u64>) -> Option<usize> {
            self.queue.iter().position(|(waiting, _)| Some(*waiting) == ticket)
        }
    }

    impl Gate {
        /// A gate with `passes` passes.
        pub fn new(passes: usize) -> Self {
            Gate { passes: Lock::new(Passes { free: passes, queue: VecDeque::new(), latest: 0 }) }
        }

        /// Adds a pass, and wakes the first waiter: it will come and take it.
        pub fn open(&self) {
            let mut passes = self.passes.lock().unwrap();
            passes.free += 1;
            let first = passes.queue.pop_front();
            drop(passes);
            if let Some((_, waker)) = first {
                waker.wake();
            }
        }

        /// Waits for a pass, and takes it.
        pub fn enter(&self) -> Enter<'_> {
            Enter { gate: self, ticket: None }
        }
    }

    impl Future for Enter<'_> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            // Made before the lock is taken, and so dropped after it is free.
            let mut waker = cx.waker().clone();
            let mut _old = None;
            let mut passes = self.gate.passes.lock().unwrap();
            let place = passes.find(self.ticket);
            if passes.free > 0 {
                passes.free -= 1;
                _old = place.and_then(|place| passes.queue.remove(place));
                self.ticket = None;
                return Poll::Ready(());
            }
            if let Some(place) = place {
                mem::swap(&mut passes.queue[place].1, &mut waker);
                return Poll::Pending;
            }
            passes.latest += 1;
            self.ticket = Some(passes.latest);
            let ticket = passes.latest;
            passes.queue.push_back((ticket, waker));
            Poll::Pending
        }
    }

    impl Drop for Enter<'_> {
        fn drop(&mut self) {
            todo!("14.7: leave the queue; if we were woken, and there is a pass, wake the next")
        }
    }

    impl Enter<'_> {
        /// The version to mend, as it stood in `drop`: it leaves the queue, if it is there.
        pub fn leave_hastily(&mut self) {
            let mut passes = self.gate.passes.lock().unwrap();
            let _own = passes.find(self.ticket).and_then(|place| passes.queue.remove(place));
            drop(passes);
        }
    }
}
