//! # Layer 4 · a `block_on` that sleeps
//!
//! **Before.** `ch02_block_on` asks the same question a million times a second. `ch03_waker` could
//! tell it when to ask, if only it listened.
//!
//! **Idea.** On `Pending`, put the thread to sleep; waking is nothing more than ending that sleep.
//! A flag remembers the wake that comes before the sleep.
//!
//! **Invariants.**
//! 1. *No lost wake:* a wake at any moment after a poll began leads to another poll.
//! 2. *No busy loop:* every poll but the first uses up a wake.
//! 3. *Ours alone:* nothing the future does with its thread, parking included, takes a wake away.
//! 4. *Harmless after the end:* a waker that outlives its `block_on` may be woken at any time.
//!
//! **Still wrong.** Whoever wakes us must be a thread, and must find our waker: so far every
//! future invents its own way to pass it on. The next layer, the hand-off, makes that a protocol.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::ledger;
use crate::ledger::Event;

/// Runs `future` to completion on this thread, which sleeps while the future is pending.
///
/// May be called inside a future that another `block_on` is running.
///
/// ```
/// use under_await::ch04_park::block_on;
///
/// assert_eq!(block_on(async { 1 + 2 }), 3);
/// ```
// ANCHOR: block_on
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let output = PARKER.try_with(|cached| {
        let parker = cached.try_borrow_mut().ok()?;
        Some(run(future.as_mut(), &parker))
    });
    match output {
        Ok(Some(output)) => output,
        // The parker is in use further up the stack, or the thread is ending and has dropped it.
        _ => run(future, &Parker::new()),
    }
}

thread_local! {
    /// This thread's parker, borrowed while a `block_on` uses it: making one allocates.
    static PARKER: RefCell<Parker> = RefCell::new(Parker::new());
}
// ANCHOR_END: block_on

// ANCHOR: run
/// Polls `future` until it is ready, and sleeps between the polls.
fn run<F: Future>(mut future: Pin<&mut F>, parker: &Parker) -> F::Output {
    let mut cx = Context::from_waker(parker.waker());
    // ANCHOR: todo_4_1 poll; on `Pending` park and go round, on `Ready` return
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => parker.park(),
        }
    }
    // ANCHOR_END: todo_4_1
}
// ANCHOR_END: run

// ANCHOR: Parker
/// Puts its thread to sleep until its waker is woken.
#[derive(Debug)]
pub struct Parker {
    /// What the sleeper and its wakers share.
    signal: Arc<Signal>,
    /// The signal as a waker, made once: every further one would cost an atomic increment.
    waker: Waker,
    /// A parker parks the thread that made it, so it is not `Send`.
    here: PhantomData<*const ()>,
}
// ANCHOR_END: Parker

impl Parker {
    /// A parker for the current thread.
    #[allow(clippy::new_without_default)] // It depends on the thread it is made on.
    pub fn new() -> Self {
        let signal = Arc::new(Signal { woken: AtomicBool::new(false), thread: thread::current() });
        Parker { waker: signal.clone().into(), signal, here: PhantomData }
    }

    /// The waker that ends this parker's sleep.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Sleeps until the waker is woken, and uses that wake up. Returns at once if it has been
    /// woken since the last time; however often that was, it counts as one wake.
    pub fn park(&self) {
        ledger::record("thread", Event::Park);
        self.signal.sleep();
        ledger::record("thread", Event::Unpark);
    }
}

// ANCHOR: Signal
/// The wake that has not been slept on yet.
#[derive(Debug)]
struct Signal {
    /// Set by a wake, used up by `sleep`. The flag is the truth; parking is only a way to wait.
    woken: AtomicBool,
    /// Whose sleep a wake ends.
    thread: Thread,
}
// ANCHOR_END: Signal

// ANCHOR: sleep
impl Signal {
    /// Returns when the flag is set, and clears it. For the signal's own thread only.
    fn sleep(&self) {
        // No other code between the look and the park: it might park too, and swallow the `unpark`
        // of a wake that comes in between.
        // ANCHOR: todo_4_2 sleep until the flag is set, and clear it
        while !self.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
        // ANCHOR_END: todo_4_2
    }
}
// ANCHOR_END: sleep

// ANCHOR: Wake_for_Signal
impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Pairs with the `Acquire` in `sleep`: what was done before the wake is seen by the poll
        // after it. If the flag was set already, whoever set it ends the sleep.
        // ANCHOR: todo_4_3 set the flag; if it was not set before, end the sleep
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
        // ANCHOR_END: todo_4_3
    }
}
// ANCHOR_END: Wake_for_Signal
