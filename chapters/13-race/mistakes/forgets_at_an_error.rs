// [data-lost] a_message_survives_an_error
//
// Counts in a variable of the future, and writes the count down when there is a `Pending`. Not every way
// out of a future is a drop: at an error the `?` leaves, and the count is lost.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::future::poll_fn;
    use std::io::{self, ErrorKind};
    use std::pin::Pin;
    use std::task::Poll;

    use futures::io::AsyncRead;

    pub struct Messages<R> {
        reader: R,
        buffer: Vec<u8>,
        filled: usize,
    }

    impl<R: AsyncRead + Unpin> Messages<R> {
        pub fn new(reader: R, length: usize) -> Self {
            Messages { reader, buffer: vec![0; length], filled: 0 }
        }

        pub async fn next(&mut self) -> io::Result<Vec<u8>> {
            let Messages { reader, buffer, filled } = self;
            poll_fn(|cx| {
                let mut count = std::mem::take(filled);
                while count < buffer.len() {
                    match Pin::new(&mut *reader).poll_read(cx, &mut buffer[count..]) {
                        Poll::Ready(Ok(0)) => {
                            return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
                        }
                        Poll::Ready(more) => count += more?,
                        Poll::Pending => {
                            *filled = count;
                            return Poll::Pending;
                        }
                    }
                }
                Poll::Ready(Ok(buffer.clone()))
            })
            .await
        }
    }
}
