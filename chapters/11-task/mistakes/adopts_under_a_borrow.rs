// [panicked] a_child_may_adopt
//
// The version that was given. `retain_mut` borrows the children until the last of them is polled.

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
                let mut children = self.children.borrow_mut();
                children.retain_mut(|child| child.as_mut().poll(cx).is_pending());
                if children.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await
        }
    }
}
