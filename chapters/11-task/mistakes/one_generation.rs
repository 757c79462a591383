// [out-of-step] five_generations
//
// Polls the children it has taken, and then those that have come meanwhile. A child that comes with
// *those* is written over when the others are put back.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    #[derive(Default)]
    pub struct Nursery {
        children: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
    }

    impl Nursery {
        pub fn adopt(&self, future: impl Future<Output = ()> + 'static) {
            self.children.borrow_mut().push(Box::pin(future));
        }

        pub async fn run(&self) {
            poll_fn(|cx| {
                let mut waiting = Vec::new();
                for _ in 0..2 {
                    for mut child in self.children.take() {
                        if child.as_mut().poll(cx).is_pending() {
                            waiting.push(child);
                        }
                    }
                }
                let is_over = waiting.is_empty();
                self.children.replace(waiting);
                if is_over { Poll::Ready(()) } else { Poll::Pending }
            })
            .await
        }
    }
}
