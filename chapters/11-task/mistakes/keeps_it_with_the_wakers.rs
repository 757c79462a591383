// [leak] dropped_when_it_is_ready
//
// One `Arc` for all, and the future goes when the last waker does: late, and on any thread. With a
// future that is not `Send` the second is worse.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use std::mem;
    use std::pin::Pin;

    use under_await::ch04_park::block_on;

    /// The same as a twin in safe code: what is over is kept until the crew goes.
    #[derive(Default)]
    pub struct Crew {
        waiting: Vec<Pin<Box<dyn Future<Output = ()>>>>,
        over: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    }

    impl Crew {
        pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
            self.waiting.push(Box::pin(future));
        }

        pub fn run(&mut self) {
            for mut member in mem::take(&mut self.waiting) {
                block_on(&mut member);
                self.over.push(member);
            }
        }
    }
}
