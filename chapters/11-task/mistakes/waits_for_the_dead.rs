// [stuck] a_panic_stays_in_its_task
//
// The panic is caught, and nothing is made of it. The task is not over, and will never be polled again;
// whoever awaits it waits for ever.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use under_await::ch11_task::{JoinHandle, spawn as right};

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let mut future = Box::pin(future);
    right(poll_fn(move |cx| {
        let poll = AssertUnwindSafe(|| future.as_mut().poll(cx));
        catch_unwind(poll).unwrap_or(Poll::Pending)
    }))
}
