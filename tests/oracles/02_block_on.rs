// Other people's right answers to the checks of this chapter. `needs_no_wake` is not for them:
// futures' `block_on` sleeps, so a future that wakes nobody hangs it.

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    futures::executor::block_on(future.into_future())
}
pub fn block_on_counting<F: IntoFuture>(future: F) -> (F::Output, u64) {
    let mut future = std::pin::pin!(future.into_future());
    let mut polls = 0;
    let output = block_on(futures::future::poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    }));
    (output, polls)
}
pub mod extend {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};
    use futures::executor::block_on;
    use futures::task::AtomicWaker;

    pub fn block_on_at_most<F: Future>(future: F, mut polls: u64) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        block_on(futures::future::poll_fn(|cx| {
            let Some(left) = polls.checked_sub(1) else { return Poll::Ready(None) };
            polls = left;
            future.as_mut().poll(cx).map(Some)
        }))
    }
    pub fn block_on_two<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
        block_on(futures::future::join(a, b))
    }
    pub fn flag() -> (Setter, Flag) {
        let shared = Arc::<(AtomicBool, AtomicWaker)>::default();
        (Setter(shared.clone()), Flag(shared))
    }
    pub struct Setter(Arc<(AtomicBool, AtomicWaker)>);
    pub struct Flag(Arc<(AtomicBool, AtomicWaker)>);
    impl Setter {
        pub fn set(self) {
            self.0.0.store(true, Ordering::Release);
            self.0.1.wake();
        }
    }
    impl Future for Flag {
        type Output = ();
        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.0.1.register(cx.waker());
            if self.0.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        }
    }
}
