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
use std::sync::Mutex as Lock;
use std::task::{Context, Poll, Waker, ready};

use futures::{Sink, Stream};

use crate::budget;
use crate::ch01_future::poll_fn;
use crate::ch05_handoff::wake_all;
use crate::ch14_sync::{Place, WaitList, change};

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

// ANCHOR: try_recv
impl<T> Receiver<T> {
    /// Takes the oldest message; an error, if there is none, says whether there will be.
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
