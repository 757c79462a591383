// [lost-wake] called_in_every_order
//
// Locks to ask for its turn, unlocks, and locks again to leave its waker. A call that comes between the two
// finds nobody in the queue, so it is kept; and the waiter, which has asked already, goes to sleep.

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

pub struct Notified<'a>(&'a Lock<List>, Option<u64>);

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
        Notified(&self.0, None)
    }
}

impl Notified<'_> {
    fn is_called(&self) -> bool {
        let mut list = self.0.lock().unwrap();
        match self.1 {
            Some(ticket) => list.queue.iter().all(|(waiting, _)| *waiting != ticket),
            None => mem::take(&mut list.spare),
        }
    }

    fn leave(&mut self, newest: Waker) {
        let mut list = self.0.lock().unwrap();
        list.latest += 1;
        let ticket = *self.1.get_or_insert(list.latest);
        list.queue.retain(|(waiting, _)| *waiting != ticket);
        list.queue.push_back((ticket, newest));
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let newest = cx.waker().clone();
        if self.is_called() {
            return Poll::Ready(());
        }
        self.leave(newest);
        Poll::Pending
    }
}
