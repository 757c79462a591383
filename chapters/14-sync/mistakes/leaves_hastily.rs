// [not-passed-on] a_wake_at_the_gate_is_passed_on
//
// The gate of the repair as it was found. A waiter that is dropped leaves the queue. One that was woken is
// not in the queue any more, so there seems to be nothing to do, and its wake is lost.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::mem::ManuallyDrop;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::super::super::super::reference::subject::extend as right;

    pub struct Gate(right::Gate);
    pub struct Enter<'a>(ManuallyDrop<right::Enter<'a>>);

    impl Gate {
        pub fn new(passes: usize) -> Self {
            Gate(right::Gate::new(passes))
        }

        pub fn open(&self) {
            self.0.open();
        }

        pub fn enter(&self) -> Enter<'_> {
            Enter(ManuallyDrop::new(self.0.enter()))
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
        }
    }
}
