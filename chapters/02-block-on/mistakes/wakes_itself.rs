// [busy-poll] is_left_alone_until_set
//
// Keeps no waker and wakes the one it was given before it says `Pending`. Nothing hangs any more:
// whoever runs it asks again at once, as this chapter's loop does, and again, and again.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::task::{Context, Poll};

    pub fn flag() -> (SilentFlag, Flag) {
        let silent = SilentFlag::default();
        (silent.clone(), Flag(silent))
    }

    pub struct Flag(SilentFlag);

    impl Future for Flag {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            cx.waker().wake_by_ref();
            Pin::new(&mut self.0).poll(cx)
        }
    }
}
