//! # The budget · how long a poll may go on
//!
//! Nobody can interrupt a poll. A task that reads from a socket that is never empty would go on for
//! ever, and no other task would have a turn. So an executor grants each poll a number of
//! operations, and the leaves, the futures that wait for something outside, take from it. When it
//! is used up they answer `Pending` although they are ready, and wake their task, which goes to the
//! end of the queue.
//!
//! Sleeps and cancellation take nothing from it: they are what ends a future that goes on for ever.
//! Where no executor grants a budget there is no limit.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll};

thread_local! {
    /// How many operations the poll that runs on this thread has left; below zero, how many it was
    /// refused. `None` is without limit.
    static LEFT: Cell<Option<i32>> = const { Cell::new(None) };
}

/// After so many refusals in one poll as many operations are let through. It takes an executor
/// inside the task to get there: it polls on and on, and waits for what the budget alone holds back.
const REFUSALS: i32 = 1000;

// ANCHOR: grant
/// Runs `poll` with a budget of `operations`, in place of the one that is in force around it.
pub fn grant<T>(operations: i32, poll: impl FnOnce() -> T) -> T {
    let _around = Around(LEFT.replace(Some(operations)));
    poll()
}

/// Puts back what was left around a [`grant`], also after a panic.
struct Around(Option<i32>);

impl Drop for Around {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}
// ANCHOR_END: grant

// ANCHOR: poll_spending
/// Polls a leaf by `poll`. An answer takes one operation from the budget; `Pending` takes none. With
/// nothing left, `poll` is not called: this is `Pending`, and the task is woken.
pub fn poll_spending<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let Some(left) = LEFT.get() else { return poll(cx) };
    if left <= 0 {
        LEFT.set(Some(if left > -REFUSALS { left - 1 } else { REFUSALS }));
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    let answer = poll(cx);
    LEFT.set(Some(left - i32::from(answer.is_ready())));
    answer
}
// ANCHOR_END: poll_spending

/// Takes one operation from the budget, in the task's next turn if nothing is left now. Cancel safe.
pub async fn spend() {
    poll_fn(|cx| poll_spending(cx, |_| Poll::Ready(()))).await;
}
