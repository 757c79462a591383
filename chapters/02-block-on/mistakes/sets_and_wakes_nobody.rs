// [never-woken] wakes_an_executor_that_sleeps
//
// Keeps the waker at every poll, and forgets it when the flag is set. The loop of this chapter
// looks again on its own; an executor that sleeps is still asleep.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    pub fn flag() -> (SilentFlag, Flag) {
        let silent = SilentFlag::default();
        (silent.clone(), Flag { silent, waker: None })
    }

    pub struct Flag {
        silent: SilentFlag,
        waker: Option<Waker>,
    }

    impl Future for Flag {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.waker = Some(cx.waker().clone());
            Pin::new(&mut self.silent).poll(cx)
        }
    }
}
