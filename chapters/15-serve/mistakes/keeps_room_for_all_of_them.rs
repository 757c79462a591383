// [no-limit] there_is_a_limit_to_everything
//
// Makes room for as many words as the client has announced. In ten bytes it announces a million words, and each of a
// thousand clients gets its 24 MB for that.

pub mod resp {
    pub use super::super::super::super::reference::subject::resp::*;

    use super::super::super::super::reference::subject::resp::Parser as Inner;

    #[derive(Default)]
    pub struct Parser(Inner, Request);

    impl Parser {
        pub fn push(&mut self, bytes: &[u8]) {
            if let Some(count) = bytes.strip_prefix(b"*").and_then(|rest| rest.split(|byte| *byte == b'\r').next()) {
                self.1.reserve(integer(count).unwrap_or(0) as usize);
            }
            self.0.push(bytes);
        }

        pub fn next_request(&mut self) -> Result<Option<Request>, Violation> {
            let Some(words) = self.0.next_request()? else { return Ok(None) };
            self.1.extend(words);
            Ok(Some(std::mem::take(&mut self.1)))
        }
    }
}
