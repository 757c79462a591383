// [panicked] a_panic_stays_in_its_task
//
// The panic of a task goes where panics go: up, out of the loop and out of `block_on`. All other tasks
// are gone with it.

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

use under_await::ch11_task::{JoinHandle, block_on as right, spawn as right_too};

thread_local! {
    static PANIC: RefCell<Option<Box<dyn Any + Send>>> = const { RefCell::new(None) };
}

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let mut future = Box::pin(future);
    right_too(poll_fn(move |cx| {
        let poll = AssertUnwindSafe(|| future.as_mut().poll(cx));
        catch_unwind(poll).unwrap_or_else(|panic| {
            PANIC.set(Some(panic));
            Poll::Pending
        })
    }))
}

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    right(poll_fn(|cx| {
        if let Some(panic) = PANIC.take() {
            resume_unwind(panic);
        }
        future.as_mut().poll(cx)
    }))
}
