// [not-passed-on] dropped_in_every_order
//
// A waiter that is dropped locks to ask whether it was called, unlocks, and locks again to leave the queue.
// It is called between the two, and goes all the same: nobody passes on what it was called for.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::support::schedules::model::Mutex as Lock;

#[derive(Default)]
struct List {
    spare: bool,
    latest: u64,
    queue: VecDeque<(u64, Waker)>,
}

#[derive(Default)]
pub struct Notify(Lock<List>);

pub struct Notified<'a>(&'a Notify, Option<u64>);

impl List {
    fn waits(&self, ticket: u64) -> bool {
        self.queue.iter().any(|(waiting, _)| *waiting == ticket)
    }
}

impl Notify {
    pub fn new() -> Self {
        Notify::default()
    }

    pub fn notify_one(&self) {
        let mut list = self.0.lock().unwrap();
        let first = list.queue.pop_front();
        list.spare |= first.is_none();
        drop(list);
        first.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub fn notify_waiters(&self) {
        let waiting = mem::take(&mut self.0.lock().unwrap().queue);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub fn notified(&self) -> Notified<'_> {
        Notified(self, None)
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let newest = cx.waker().clone();
        let mut list = self.0.0.lock().unwrap();
        let called = match self.1 {
            Some(ticket) => !list.waits(ticket),
            None => mem::take(&mut list.spare),
        };
        if called {
            self.1 = None;
            return Poll::Ready(());
        }
        list.latest += 1;
        let ticket = *self.1.get_or_insert(list.latest);
        list.queue.retain(|(waiting, _)| *waiting != ticket);
        list.queue.push_back((ticket, newest));
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.1 else { return };
        let waits = self.0.0.lock().unwrap().waits(ticket);
        self.0.0.lock().unwrap().queue.retain(|(waiting, _)| *waiting != ticket);
        if !waits {
            self.0.notify_one();
        }
    }
}
