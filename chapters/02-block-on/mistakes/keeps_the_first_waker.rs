// [never-woken] wakes_the_waker_of_the_last_poll
//
// Keeps the first waker and no other. A future that was moved into another task, or polled through
// a combinator, has a new one, and that one is never woken.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    pub struct Setter(Arc<Mutex<(bool, Option<Waker>)>>);
    pub struct Flag(Arc<Mutex<(bool, Option<Waker>)>>);

    pub fn flag() -> (Setter, Flag) {
        let shared = Arc::default();
        (Setter(Arc::clone(&shared)), Flag(shared))
    }

    impl Setter {
        pub fn set(self) {
            self.0.lock().unwrap().0 = true;
            let waker = self.0.lock().unwrap().1.take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    impl Future for Flag {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let mut shared = self.0.lock().unwrap();
            if shared.0 {
                return Poll::Ready(());
            }
            shared.1.get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        }
    }
}
