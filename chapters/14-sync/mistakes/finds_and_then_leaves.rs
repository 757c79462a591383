// [not-passed-on] dropped_at_the_gate_in_every_order
//
// An `Enter` that is dropped locks to find its place in the queue, unlocks, and locks again to leave it. When
// it is woken between the two, that place is the next one's: the next one is taken out, and not woken.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use crate::support::schedules::model::Mutex as Lock;

    #[derive(Default)]
    struct Passes {
        free: usize,
        queue: VecDeque<(u64, Waker)>,
        latest: u64,
    }

    pub struct Gate(Lock<Passes>);
    pub struct Enter<'a>(&'a Gate, Option<u64>);

    impl Gate {
        pub fn new(free: usize) -> Self {
            Gate(Lock::new(Passes { free, ..Passes::default() }))
        }

        pub fn open(&self) {
            let mut passes = self.0.lock().unwrap();
            passes.free += 1;
            let first = passes.queue.pop_front();
            drop(passes);
            first.into_iter().for_each(|(_, waker)| waker.wake());
        }

        pub fn enter(&self) -> Enter<'_> {
            Enter(self, None)
        }

        fn find(&self, ticket: u64) -> Option<usize> {
            self.0.lock().unwrap().queue.iter().position(|(waiting, _)| *waiting == ticket)
        }
    }

    impl Future for Enter<'_> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let newest = cx.waker().clone();
            let mut passes = self.0.0.lock().unwrap();
            if passes.free > 0 {
                passes.free -= 1;
                self.1 = None;
                return Poll::Ready(());
            }
            passes.latest += 1;
            let ticket = *self.1.get_or_insert(passes.latest);
            passes.queue.retain(|(waiting, _)| *waiting != ticket);
            passes.queue.push_back((ticket, newest));
            Poll::Pending
        }
    }

    impl Drop for Enter<'_> {
        fn drop(&mut self) {
            let Some(ticket) = self.1 else { return };
            let place = self.0.find(ticket);
            let mut passes = self.0.0.lock().unwrap();
            let (_own, next) = match place {
                Some(place) => (passes.queue.remove(place), None),
                None if passes.free > 0 => (None, passes.queue.pop_front()),
                None => (None, None),
            };
            drop(passes);
            next.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }
}
