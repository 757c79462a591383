// [never-woken] the_list_calls_one_after_the_other
//
// Each call is for the first in the queue. That one stays there until it has gone on, so the next call is for
// it as well, although it was called already. The second waiter is not woken, and its call is lost.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::Mutex as Lock;
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct List {
    spare: bool,
    latest: u64,
    queue: VecDeque<(u64, Option<Waker>)>,
}

#[derive(Default)]
pub struct Notify(Lock<List>);

pub struct Notified<'a>(&'a Lock<List>, Option<u64>);

impl List {
    fn call(&mut self) -> Option<Waker> {
        let Some((_, waker)) = self.queue.front_mut() else {
            self.spare = true;
            return None;
        };
        waker.take()
    }

    fn leave(&mut self, ticket: u64) {
        self.queue.retain(|(waiting, _)| *waiting != ticket);
    }
}

impl Notify {
    pub fn new() -> Self {
        Notify::default()
    }

    pub fn notify_one(&self) {
        let called = self.0.lock().unwrap().call();
        called.into_iter().for_each(Waker::wake);
    }

    pub fn notify_waiters(&self) {
        let waiting = mem::take(&mut self.0.lock().unwrap().queue);
        waiting.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
    }

    pub fn notified(&self) -> Notified<'_> {
        Notified(&self.0, None)
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let newest = cx.waker().clone();
        let mut list = self.0.lock().unwrap();
        let Some(ticket) = self.1 else {
            if mem::take(&mut list.spare) {
                return Poll::Ready(());
            }
            list.latest += 1;
            let latest = list.latest;
            list.queue.push_back((latest, Some(newest)));
            drop(list);
            self.1 = Some(latest);
            return Poll::Pending;
        };
        let waits = list.queue.iter_mut().find(|(waiting, waker)| *waiting == ticket && waker.is_some());
        let Some((_, older)) = waits else {
            list.leave(ticket);
            return Poll::Ready(());
        };
        let _older = older.replace(newest);
        drop(list);
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        self.1.into_iter().for_each(|ticket| self.0.lock().unwrap().leave(ticket));
    }
}
