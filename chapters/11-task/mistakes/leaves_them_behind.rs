// [leak] the_end_drops_the_rest
//
// Returns when the root is ready, and leaves the other tasks where they are. What they own, open files
// and locks and memory, stays open, locked and used.

use std::mem::ManuallyDrop;

use under_await::ch11_task::{JoinHandle, spawn as right};

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let mut future = ManuallyDrop::new(Box::pin(future));
    right(std::future::poll_fn(move |cx| future.as_mut().poll(cx)))
}
