// [data-lost] a_message_survives_an_error
//
// Keeps what has come when the reader has an error, and forgets it when the reader is at its end: that is
// the end, after all. But a file may grow, and what is added to it is the rest of this message.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::io::{self, ErrorKind};

    use futures::io::{AsyncRead, AsyncReadExt};

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
            while self.filled < self.buffer.len() {
                match self.reader.read(&mut self.buffer[self.filled..]).await? {
                    0 => {
                        self.filled = 0;
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    more => self.filled += more,
                }
            }
            self.filled = 0;
            Ok(self.buffer.clone())
        }
    }
}
