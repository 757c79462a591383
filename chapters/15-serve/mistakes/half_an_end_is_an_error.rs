// [wrong-result] a_request_survives_every_cut
//
// A line ends with `\r\n`, it says, and looks for both as soon as it has one of them. A piece may end between the
// two, and then it is a client that does not know its protocol.

pub mod resp {
    pub use super::super::super::super::reference::subject::resp::*;

    use super::super::super::super::reference::subject::resp::Parser as Inner;

    #[derive(Default)]
    pub struct Parser(Inner, u8);

    impl Parser {
        pub fn push(&mut self, bytes: &[u8]) {
            self.0.push(bytes);
            self.1 = bytes.last().copied().unwrap_or(self.1);
        }

        pub fn next_request(&mut self) -> Result<Option<Request>, Violation> {
            match self.0.next_request() {
                Ok(None) if self.1 == b'\r' => Err("expected '\\n'"),
                found => found,
            }
        }
    }
}
