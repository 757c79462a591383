// [moved] polls_until_ready
//
// Keeps the future in a queue, as schedulers do, and puts it back at the other end when it is
// pending. It lies there by value, so each turn moves it. Without `unsafe` that does not compile.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;

use under_await::ch01_future::poll_once;

pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    block_on_counting(future).0
}

pub fn block_on_counting<F: IntoFuture>(future: F) -> (F::Output, u64) {
    let mut queue = VecDeque::with_capacity(2);
    queue.push_back(future.into_future());
    let mut polls = 0;
    loop {
        polls += 1;
        // SAFETY: none. `Pin` is promised a future that will not move again, and this one will.
        let future = unsafe { Pin::new_unchecked(&mut queue[0]) };
        if let Poll::Ready(output) = poll_once(future) {
            return (output, polls);
        }
        let future = queue.pop_front().expect("one was put there");
        queue.push_back(future);
    }
}
