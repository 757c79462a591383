// [stuck] the_end_drops_the_rest
//
// Returns when the root and all tasks are over. A task that listens for signals or keeps a connection
// alive is never over, and so the program never ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use under_await::ch11_task::{JoinHandle, block_on as right, spawn as right_too};
use under_await::on_drop;

thread_local! {
    static TASKS: Cell<usize> = const { Cell::new(0) };
}

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    TASKS.set(TASKS.get() + 1);
    let one_less = on_drop(|| TASKS.set(TASKS.get() - 1));
    right_too(async move {
        let _one_less = one_less;
        future.await
    })
}

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    right(async {
        let output = future.await;
        let all_over = || if TASKS.get() == 0 { Poll::Ready(()) } else { Poll::Pending };
        poll_fn(|_| all_over()).await;
        output
    })
}
