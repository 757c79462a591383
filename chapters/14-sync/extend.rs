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
        // ANCHOR: todo_14_6 look for the next message; wait for news in such a way that none is lost
        loop {
            // Before the look: what is added after it is told to us.
            let news = self.shared.news();
            match self.shared.look(self.next) {
                Look::Message(message) => {
                    self.next += 1;
                    return Ok(message);
                }
                Look::Missed(messages) => {
                    self.next += messages;
                    return Err(RecvError::Lagged(messages));
                }
                Look::Over => return Err(RecvError::Closed),
                Look::Nothing => news.await,
            }
        }
        // ANCHOR_END: todo_14_6
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
        // ANCHOR: todo_14_7 leave the queue; if we were woken, and there is a pass, wake the next
        if self.ticket.is_none() {
            return;
        }
        let mut passes = self.gate.passes.lock().unwrap();
        let (_own, next) = match passes.find(self.ticket) {
            Some(place) => (passes.queue.remove(place), None),
            None if passes.free > 0 => (None, passes.queue.pop_front()),
            None => (None, None),
        };
        drop(passes);
        if let Some((_, waker)) = next {
            waker.wake();
        }
        // ANCHOR_END: todo_14_7
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
