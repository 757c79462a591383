// [never-woken] can_be_polled_during_the_wake
//
// Wakes first and sets the flag afterwards. Most of the time whoever was woken is slower than
// that, and all is well. If the poll comes in between, it finds nothing, and there is no second
// wake.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    pub fn flag() -> (Setter, Flag) {
        let shared = Arc::new(Mutex::new((false, None)));
        (Setter(shared.clone()), Flag(shared))
    }

    pub struct Setter(Arc<Mutex<(bool, Option<Waker>)>>);
    pub struct Flag(Arc<Mutex<(bool, Option<Waker>)>>);

    impl Setter {
        pub fn set(self) {
            let waker = self.0.lock().unwrap().1.take();
            if let Some(waker) = waker {
                waker.wake();
            }
            self.0.lock().unwrap().0 = true;
        }
    }

    impl Future for Flag {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let mut shared = self.0.lock().unwrap();
            shared.1 = Some(cx.waker().clone());
            if shared.0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
}
