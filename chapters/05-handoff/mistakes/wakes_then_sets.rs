// [lost-wake] a_hangup_in_every_order
//
// Wakes first and sets second. Whoever is woken in between looks, finds nothing, and sleeps again; and
// then it happens, and nobody says so.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use crate::support::schedules::point;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};
    use under_await::ch05_handoff::WakerCell;

    type Shared = (AtomicBool, WakerCell);
    pub struct Line(Arc<Shared>);
    pub struct Hangup(Arc<Shared>);

    pub fn line() -> (Line, Hangup) {
        let shared = Arc::new(Shared::default());
        (Line(shared.clone()), Hangup(shared))
    }

    impl Future for Hangup {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            point("keep the waker");
            self.0.1.register(cx.waker());
            point("look");
            if self.0.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    impl Drop for Line {
        fn drop(&mut self) {
            point("wake whoever is kept");
            self.0.1.wake();
            point("set");
            self.0.0.store(true, Ordering::Release);
        }
    }
}
