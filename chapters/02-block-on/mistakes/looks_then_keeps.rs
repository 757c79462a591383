// [lost-wake] set_during_the_poll
//
// Looks under the lock, lets go of it, and takes it again to leave the waker. When the flag is set
// in between, the setter finds no waker, and nobody will wake the one that is left afterwards.

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
            if self.0.lock().unwrap().0 {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            self.0.lock().unwrap().1 = Some(waker);
            Poll::Pending
        }
    }
}
