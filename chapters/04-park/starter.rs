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
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use crate::support::schedules::model::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use crate::support::schedules::model::thread::{self, Thread};

use under_await::ledger;
use under_await::ledger::Event;

/// Runs `future` to completion on this thread, which sleeps while the future is pending.
///
/// May be called inside a future that another `block_on` is running.
///
/// ```
/// use under_await::ch04_park::block_on;
///
/// assert_eq!(block_on(async { 1 + 2 }), 3);
/// ```
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

/// Polls `future` until it is ready, and sleeps between the polls.
fn run<F: Future>(mut future: Pin<&mut F>, parker: &Parker) -> F::Output {
    let mut cx = Context::from_waker(parker.waker());
    todo!("4.1: poll; on `Pending` park and go round, on `Ready` return")
}

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

/// The wake that has not been slept on yet.
#[derive(Debug)]
struct Signal {
    /// Set by a wake, used up by `sleep`. The flag is the truth; parking is only a way to wait.
    woken: AtomicBool,
    /// Whose sleep a wake ends.
    thread: Thread,
}

impl Signal {
    /// Returns when the flag is set, and clears it. For the signal's own thread only.
    fn sleep(&self) {
        // No other code between the look and the park: it might park too, and swallow the `unpark`
        // of a wake that comes in between.
        todo!("4.2: sleep until the flag is set, and clear it")
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Pairs with the `Acquire` in `sleep`: what was done before the wake is seen by the poll
        // after it. If the flag was set already, whoever set it ends the sleep.
        todo!("4.3: set the flag; if it was not set before, end the sleep")
    }
}

/// What the chapter does not show.
pub mod extend {
    // What chapter 4 asks beyond its layer.
    //
    // `model` has std's atomics, locks and parking once more. They do what std's do, and stop at every
    // step for the checks, which play the steps in every order. In your file the layer has them too.
    // The checks play the layer in every order.

    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::{Duration, Instant};

    use crate::support::schedules::model::{self, Condvar, Mutex};

    /// A parker without `thread::park`: a flag in a mutex, and a condition variable to wait for it.
    #[derive(Clone, Debug, Default)]
    pub struct CondvarParker {
        signal: Arc<Signal>,
    }

    /// What the sleeper and its wakers share.
    #[derive(Debug, Default)]
    struct Signal {
        /// Whether a wake has come that no sleep has used up.
        woken: Mutex<bool>,
        /// Notified when `woken` becomes true.
        changed: Condvar,
    }

    impl CondvarParker {
        /// A waker that ends this parker's sleep.
        pub fn waker(&self) -> Waker {
            self.signal.clone().into()
        }

        /// Sleeps until the waker is woken, and uses that wake up.
        pub fn park(&self) {
            todo!("4.4: wait on the condition variable until `woken` is true, then make it false")
        }
    }

    impl Wake for Signal {
        fn wake(self: Arc<Self>) {
            todo!("4.5: make `woken` true and notify the sleeper")
        }
    }

    /// Runs `future` on this thread until it is ready or `limit` has passed; `None` if it was too slow.
    pub fn block_on_for<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
        let deadline = Instant::now() + limit;
        let signal = Arc::new(Signal::default());
        let waker = signal.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        todo!("4.6: poll, and wait on `signal.changed` until the deadline at most")
    }

    /// A flag and a sleeper, to be repaired: somebody put the clearing of the flag in a place that looked
    /// tidy. They are the model's flag and the model's `park`, which behave like std's, and let the checks
    /// play every order of the steps in `wait` and in `ring`.
    #[derive(Debug)]
    pub struct Bell {
        /// Set by `ring`.
        rung: model::AtomicBool,
        /// Whom to wake.
        sleeper: model::thread::Thread,
    }

    impl Bell {
        /// A bell for this thread.
        #[expect(clippy::new_without_default, reason = "it depends on the thread it is made on")]
        pub fn new() -> Self {
            Bell { rung: model::AtomicBool::new(false), sleeper: model::thread::current() }
        }

        /// What a waker does.
        pub fn ring(&self) {
            self.rung.store(true, Ordering::Release);
            self.sleeper.unpark();
        }

        /// What an executor does between two polls: returns when the bell was rung since the last time.
        pub fn wait(&self) {
            todo!("4.7: what `wait_tidily` below is meant to do, right in every order")
        }

        /// The version to mend. It clears the flag first, so that no old ring is in the way.
        pub fn wait_tidily(&self) {
            self.rung.store(false, Ordering::Release);
            model::thread::park();
            while !self.rung.load(Ordering::Acquire) {
                model::thread::park();
            }
        }
    }
}
