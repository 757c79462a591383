// [lost-wake] a_hangup_looks_when_it_has_kept
//
// Looks first, and keeps the waker only if there is something to wait for: a clone saved. A line that
// is dropped in between finds nobody to wake.

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
            point("look");
            if self.0.0.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            point("keep the waker");
            self.0.1.register(cx.waker());
            Poll::Pending
        }
    }

    impl Drop for Line {
        fn drop(&mut self) {
            point("set");
            self.0.0.store(true, Ordering::Release);
            point("wake whoever is kept");
            self.0.1.wake();
        }
    }
}
