// [panicked] a_task_may_spawn
//
// What the runtime knows of its tasks, here no more than how many there are, is borrowed from the moment
// one of them is taken to the end of its poll. A task that spawns wants to change it.

use std::cell::RefCell;
use std::future::poll_fn;

use under_await::ch11_task::{JoinHandle, spawn as right};

thread_local! {
    static TASKS: RefCell<u32> = const { RefCell::new(0) };
}

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    TASKS.with_borrow_mut(|tasks| *tasks += 1);
    let mut future = Box::pin(future);
    right(poll_fn(move |cx| TASKS.with_borrow(|_| future.as_mut().poll(cx))))
}
