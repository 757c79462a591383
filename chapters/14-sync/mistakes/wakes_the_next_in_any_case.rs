// [woken-for-nothing] a_wake_at_the_gate_is_passed_on
//
// An `Enter` that is dropped wakes the next one in any case: to be on the safe side, the next one is to look
// for itself. It loses no wake. But if no pass is left, that poll is for nothing.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::mem::ManuallyDrop;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::super::super::super::reference::subject::extend as right;

    pub struct Gate(right::Gate);
    pub struct Enter<'a>(ManuallyDrop<right::Enter<'a>>, &'a right::Gate);

    impl Gate {
        pub fn new(passes: usize) -> Self {
            Gate(right::Gate::new(passes))
        }

        pub fn open(&self) {
            self.0.open();
        }

        pub fn enter(&self) -> Enter<'_> {
            Enter(ManuallyDrop::new(self.0.enter()), &self.0)
        }
    }

    impl Future for Enter<'_> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            Pin::new(&mut *self.0).poll(cx)
        }
    }

    impl Drop for Enter<'_> {
        fn drop(&mut self) {
            self.0.leave_hastily();
            // To open wakes the first; and its pass is taken away again.
            self.1.open();
            let _ = pin!(self.1.enter()).poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}
