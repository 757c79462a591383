// tokio's channel under the checks of chapter 5, with what its sender can wait for as the hangup. The
// cell is smol's, the sleep that of futures-timer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot as theirs;

pub use atomic_waker::AtomicWaker as WakerCell;

pub struct Sender<T>(theirs::Sender<T>);
pub struct Receiver<T>(theirs::Receiver<T>);

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = theirs::channel();
    (Sender(sender), Receiver(receiver))
}

impl<T> Sender<T> {
    pub fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }

    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Theirs has a constructor that is theirs alone.
        Pin::new(&mut self.0).poll(cx).map_err(|_| RecvError)
    }
}

pub async fn thread_sleep(duration: Duration) {
    futures_timer::Delay::new(duration).await;
}

pub mod extend {
    use std::task::Waker;

    use super::*;
    use crate::support::schedules::point;

    /// The checks that play every order need a point before each call: theirs has none inside.
    #[derive(Default)]
    pub struct LocklessCell(WakerCell);

    impl LocklessCell {
        pub fn register(&self, waker: &Waker) {
            point("register");
            self.0.register(waker);
        }

        pub fn wake(&self) {
            point("wake");
            self.0.wake();
        }
    }

    pub struct Line(theirs::Receiver<()>);
    pub struct Hangup(theirs::Sender<()>);

    pub fn line() -> (Line, Hangup) {
        let (sender, receiver) = theirs::channel();
        (Line(receiver), Hangup(sender))
    }

    impl Future for Hangup {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.0.poll_closed(cx)
        }
    }
}
