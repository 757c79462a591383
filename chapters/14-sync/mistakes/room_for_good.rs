// [wrong-result] a_sink_waits_for_each_message
//
// A sink that has had room once takes it that it has room from then on. It is for one message. The next one
// finds the channel full, and is more than there is room for.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::Sink;
    use under_await::ch14_sync::{self as layer, Receiver, SendError};

    #[derive(Clone)]
    pub struct Sender(layer::Sender<u32>, bool);

    pub fn sink() -> (Sender, Receiver<u32>) {
        let (sender, receiver) = layer::channel(1);
        (Sender(sender, false), receiver)
    }

    impl Sink<u32> for Sender {
        type Error = SendError<()>;

        fn poll_ready(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Result<(), Self::Error>> {
            if self.1 {
                return Poll::Ready(Ok(()));
            }
            let ready = Pin::new(&mut self.0).poll_ready(cx);
            self.1 = ready.is_ready();
            ready
        }

        fn start_send(mut self: Pin<&mut Self>, message: u32) -> Result<(), Self::Error> {
            Pin::new(&mut self.0).start_send(message)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
    }
}
