//! # Layer 2 · `block_on`, the honest first executor
//!
//! **Before.** A future does nothing until somebody polls it, and we poll by hand.
//!
//! **Idea.** An executor is whoever calls `poll`. The smallest one asks until it gets an answer.
//!
//! **Invariants.**
//! 1. *To the end:* the output is returned, and no poll follows it.
//! 2. *One place:* from the first poll to the last the future does not move.
//! 3. *Any future:* it need not be `Send`, `'static`, `Unpin` or ready to be woken.
//!
//! **Still wrong.** While the future waits, the loop asks millions of times and heats the room: the
//! waker does nothing, so nobody can tell it when asking is worth while. The next layer,
//! [`ch03_waker`](crate::ch03_waker), makes wakers that do something.

#![forbid(unsafe_code)]

use std::hint;
use std::pin::pin;
use std::task::Poll;

use crate::ch01_future::poll_once;

// ANCHOR: block_on
/// Runs `future` to completion on this thread, asking again and again.
///
/// ```
/// use under_await::ch02_block_on::block_on;
///
/// assert_eq!(block_on(async { 1 + 2 }), 3);
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    block_on_counting(future).0
}
// ANCHOR_END: block_on

// ANCHOR: block_on_counting
/// As [`block_on`], and says how many polls it took.
pub fn block_on_counting<F: IntoFuture>(future: F) -> (F::Output, u64) {
    // ANCHOR: todo_2_1 pin the future, then poll and count until it is ready
    let mut future = pin!(future.into_future());
    let mut polls = 0;
    loop {
        polls += 1;
        match poll_once(future.as_mut()) {
            Poll::Ready(output) => return (output, polls),
            // Not a sleep: it tells the processor that this is a loop that waits.
            Poll::Pending => hint::spin_loop(),
        }
    }
    // ANCHOR_END: todo_2_1
}
// ANCHOR_END: block_on_counting
