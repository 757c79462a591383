//! # The budget · how long a poll may go on
//!
//! Nobody can interrupt a poll. A task that reads from a socket that is never empty would go on for
//! ever, and no other task would have a turn. So an executor grants each poll a number of
//! operations, and the leaves, the futures that wait for something outside, take from it. When it
//! is used up they answer `Pending` although they are ready, and wake their task, which goes to the
//! end of the queue.
//!
//! A future that polls others asks them in the same order each time, and the first might use up
//! all of it each time. So if a poll has refused several leaves, the next one passes over the first,
//! and the one after that over one more, until the last has had its turn.
//!
//! What is ready once only, as a task's handle or a oneshot, takes nothing: it makes no loop. Where
//! no executor grants a budget there is no limit.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};

// ANCHOR: Budget
/// What a task keeps from one of its polls for the next.
#[derive(Debug, Default)]
pub struct Budget {
    /// How many leaves are passed over. Only the thread that polls the task looks at it.
    over: AtomicU16,
}

impl Budget {
    /// Runs `poll` with a budget of `operations`, in place of the one that is in force around it.
    pub fn grant<T>(&self, operations: u16, poll: impl FnOnce() -> T) -> T {
        let over = self.over.load(Ordering::Relaxed);
        let around = GRANTED.replace(Some(Granted { left: operations, over, refused: 0 }));
        let _around = Around { around, budget: self };
        poll()
    }
}
// ANCHOR_END: Budget

thread_local! {
    /// The budget of the poll that runs on this thread. `None` is without limit.
    static GRANTED: Cell<Option<Granted>> = const { Cell::new(None) };
}

/// What is left to a poll.
#[derive(Clone, Copy)]
struct Granted {
    /// The operations that are left.
    left: u16,
    /// How many refusals come before the first operation.
    over: u16,
    /// The refusals so far.
    refused: u16,
}

/// After so many refusals in one poll as many operations are let through. It takes an executor
/// inside the task to get there: it polls on and on, and waits for what the budget alone holds back.
const REFUSALS: u16 = 1000;

// ANCHOR: Granted
impl Granted {
    /// Whether an operation has to wait for another poll.
    fn refuses(&mut self) -> bool {
        if self.left > 0 && self.refused >= self.over {
            return false;
        }
        self.refused += 1;
        if self.refused == REFUSALS {
            *self = Granted { left: REFUSALS, over: 0, refused: 0 };
        }
        true
    }

    /// How many leaves the next poll passes over. One that is refused alone has nobody behind it.
    fn over_next(&self) -> u16 {
        let next = self.over + 1;
        if next < self.refused { next } else { 0 }
    }
}
// ANCHOR_END: Granted

/// What is to be put back after a grant, also if there is a panic.
struct Around<'a> {
    /// What is left of the budget around it.
    around: Option<Granted>,
    /// Whose poll it is.
    budget: &'a Budget,
}

impl Drop for Around<'_> {
    fn drop(&mut self) {
        let granted = GRANTED.replace(self.around);
        let over = granted.as_ref().map_or(0, Granted::over_next);
        self.budget.over.store(over, Ordering::Relaxed);
    }
}

// ANCHOR: poll_spending
/// Polls a leaf by `poll`. An answer takes one operation from the budget; `Pending` takes none. With
/// nothing left, `poll` is not called: this is `Pending`, and the task is woken.
pub fn poll_spending<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    if change(Granted::refuses) == Some(true) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    let answer = poll(cx);
    if answer.is_ready() {
        change(|granted| granted.left = granted.left.saturating_sub(1));
    }
    answer
}
// ANCHOR_END: poll_spending

/// Changes the budget of the poll that runs on this thread, if there is one.
fn change<T>(change: impl FnOnce(&mut Granted) -> T) -> Option<T> {
    let mut granted = GRANTED.get()?;
    let changed = change(&mut granted);
    GRANTED.set(Some(granted));
    Some(changed)
}

/// Takes one operation from the budget, in the task's next turn if nothing is left now. Cancel safe.
pub async fn spend() {
    poll_fn(|cx| poll_spending(cx, |_| Poll::Ready(()))).await;
}
