// [lost-progress] it_goes_on_where_it_stopped
//
// Keeps the bytes until all of a request is there, and reads them from the front each time more have come. A thousand
// words that come one by one are read half a million times.

pub mod resp {
    pub use super::super::super::super::reference::subject::resp::*;

    use super::super::super::super::reference::subject::resp::Parser as Inner;

    #[derive(Default)]
    pub struct Parser(Vec<u8>, Inner);

    impl Parser {
        pub fn push(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }

        pub fn next_request(&mut self) -> Result<Option<Request>, Violation> {
            self.1 = Inner::default();
            self.1.push(&self.0);
            let found = self.1.next_request()?;
            if found.is_some() {
                self.0.clear();
            }
            Ok(found)
        }
    }
}
