// [data-lost] a_message_survives_a_drop
//
// The reader of messages as it was found. `read_exact` keeps the count of what has come in its future, and
// the count is dropped with it: the next message begins in the middle of this one.

use std::io;

use futures::io::AsyncRead;

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub struct Messages<R>(super::super::super::super::reference::subject::extend::Messages<R>);

    impl<R: super::AsyncRead + Unpin> Messages<R> {
        pub fn new(reader: R, length: usize) -> Self {
            Messages(super::super::super::super::reference::subject::extend::Messages::new(
                reader, length,
            ))
        }

        pub async fn next(&mut self) -> super::io::Result<Vec<u8>> {
            self.0.next_hastily().await
        }
    }
}
