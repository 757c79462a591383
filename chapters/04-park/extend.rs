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
        // ANCHOR: todo_4_4 wait on the condition variable until `woken` is true, then make it false
        let woken = self.signal.woken.lock().unwrap();
        let mut woken = self.signal.changed.wait_while(woken, |woken| !*woken).unwrap();
        *woken = false;
        // ANCHOR_END: todo_4_4
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        // ANCHOR: todo_4_5 make `woken` true and notify the sleeper
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
        // ANCHOR_END: todo_4_5
    }
}

/// Runs `future` on this thread until it is ready or `limit` has passed; `None` if it was too slow.
pub fn block_on_for<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    let deadline = Instant::now() + limit;
    let signal = Arc::new(Signal::default());
    let waker = signal.clone().into();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    // ANCHOR: todo_4_6 poll, and wait on `signal.changed` until the deadline at most
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        // `None` here: a future that is woken again and again has its limit too.
        let left = deadline.checked_duration_since(Instant::now())?;
        let woken = signal.woken.lock().unwrap();
        let slept = signal.changed.wait_timeout_while(woken, left, |woken| !*woken);
        let (mut woken, result) = slept.unwrap();
        if result.timed_out() {
            return None;
        }
        *woken = false;
    }
    // ANCHOR_END: todo_4_6
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
        // ANCHOR: todo_4_7 what `wait_tidily` below is meant to do, right in every order
        while !self.rung.swap(false, Ordering::Acquire) {
            model::thread::park();
        }
        // ANCHOR_END: todo_4_7
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
