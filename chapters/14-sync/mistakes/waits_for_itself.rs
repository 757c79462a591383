// [never-returns] one_notification_is_kept
//
// Looks under the lock and leaves its waker under the lock, as it should; but for the second step it locks
// again. The guard of the first is still there, because what a `match` looks at lives as long as the `match`.

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

impl List {
    fn turn(&mut self, ticket: Option<u64>) -> Poll<()> {
        let called = match ticket {
            Some(ticket) => self.queue.iter().all(|(waiting, _)| *waiting != ticket),
            None => mem::take(&mut self.spare),
        };
        if called { Poll::Ready(()) } else { Poll::Pending }
    }

    fn keep(&mut self, ticket: Option<u64>, newest: Waker) -> u64 {
        self.latest += 1;
        let ticket = ticket.unwrap_or(self.latest);
        self.queue.retain(|(waiting, _)| *waiting != ticket);
        self.queue.push_back((ticket, newest));
        ticket
    }
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

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let newest = cx.waker().clone();
        match self.0.lock().unwrap().turn(self.1) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => {
                let ticket = self.0.lock().unwrap().keep(self.1, newest);
                self.1 = Some(ticket);
                Poll::Pending
            }
        }
    }
}
