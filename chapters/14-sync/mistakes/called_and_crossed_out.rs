// [wrong-result] who_is_called_was_called
//
// A call takes the first waiter out of the queue. When that one asks for its turn, its ticket is not there:
// as if it had been dismissed. So a sink that was called for room is told that its channel is closed.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex as Lock};
    use std::task::{Context, Poll, Waker};

    use futures::Sink;
    use under_await::ch14_sync::{Receiver, SendError, channel};

    #[derive(Default)]
    struct List {
        free: usize,
        latest: u64,
        queue: VecDeque<(u64, Waker)>,
    }

    pub struct Sender {
        list: Arc<Lock<List>>,
        ticket: Option<u64>,
        called: bool,
    }

    pub fn sink() -> (Sender, Receiver<u32>) {
        let list = Arc::new(Lock::new(List { free: 1, ..List::default() }));
        (Sender { list, ticket: None, called: false }, channel(1).1)
    }

    impl Sender {
        fn turn(&mut self, newest: Waker) -> Poll<bool> {
            let mut list = self.list.lock().unwrap();
            if let Some(ticket) = self.ticket {
                let waits = list.queue.iter().any(|(waiting, _)| *waiting == ticket);
                return if waits { Poll::Pending } else { Poll::Ready(false) };
            }
            if list.free > 0 {
                list.free -= 1;
                return Poll::Ready(true);
            }
            list.latest += 1;
            let latest = list.latest;
            list.queue.push_back((latest, newest));
            self.ticket = Some(latest);
            Poll::Pending
        }
    }

    impl Clone for Sender {
        fn clone(&self) -> Self {
            Sender { list: self.list.clone(), ticket: None, called: false }
        }
    }

    impl Drop for Sender {
        fn drop(&mut self) {
            if !self.called {
                return;
            }
            let mut list = self.list.lock().unwrap();
            let first = list.queue.pop_front();
            list.free += usize::from(first.is_none());
            drop(list);
            first.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    impl Sink<u32> for Sender {
        type Error = SendError<()>;

        fn poll_ready(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Result<(), Self::Error>> {
            let turn = self.turn(cx.waker().clone());
            self.called |= turn == Poll::Ready(true);
            turn.map(|called| called.then_some(()).ok_or(SendError(())))
        }

        fn start_send(mut self: Pin<&mut Self>, _: u32) -> Result<(), Self::Error> {
            self.called = false;
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
    }
}
