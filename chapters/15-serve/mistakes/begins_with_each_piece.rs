// [data-lost] a_request_survives_every_cut
//
// Takes every piece for a request of its own. On one machine they are the same most of the time; over a slow line, or
// with a long word, half of a request is thrown away, and the other half is none.

pub mod resp {
    pub use super::super::super::super::reference::subject::resp::*;

    use super::super::super::super::reference::subject::resp::Parser as Inner;

    #[derive(Default)]
    pub struct Parser(Inner);

    impl Parser {
        pub fn push(&mut self, bytes: &[u8]) {
            self.0 = Inner::default();
            self.0.push(bytes);
        }

        pub fn next_request(&mut self) -> Result<Option<Request>, Violation> {
            self.0.next_request()
        }
    }
}
