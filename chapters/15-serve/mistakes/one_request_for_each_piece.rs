// [data-lost] many_requests_in_one_piece
//
// When a request is complete, what is left over goes with it. A client that does not wait for each answer before it
// sends the next request hears of the first one only.

pub mod resp {
    pub use super::super::super::super::reference::subject::resp::*;

    use super::super::super::super::reference::subject::resp::Parser as Inner;

    #[derive(Default)]
    pub struct Parser(Inner);

    impl Parser {
        pub fn push(&mut self, bytes: &[u8]) {
            self.0.push(bytes);
        }

        pub fn next_request(&mut self) -> Result<Option<Request>, Violation> {
            let found = self.0.next_request();
            if let Ok(Some(_)) = found {
                self.0 = Inner::default();
            }
            found
        }
    }
}
