// [never-woken] a_child_may_wait_for_one_that_it_adopts
//
// The borrow is mended: the children are taken out, polled, and put back. Those that came meanwhile are
// put back, too, but unpolled, and so they wait for a wake that is another child's.

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
                let mut children = self.children.take();
                children.retain_mut(|child| child.as_mut().poll(cx).is_pending());
                self.children.borrow_mut().append(&mut children);
                if self.children.borrow().is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await
        }
    }
}
