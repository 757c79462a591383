// What chapter 2 asks beyond its layer.

use std::hint;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use under_await::ch01_future::poll_once;

/// Runs `future` on this thread for at most `polls` polls; `None` if it was not ready by then.
pub fn block_on_at_most<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    // ANCHOR: todo_2_2 poll until the future is ready or `polls` polls are used up
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return Some(output);
        }
        hint::spin_loop();
    }
    None
    // ANCHOR_END: todo_2_2
}

/// Runs both futures on this thread until both are ready, polling them in turn, `a` first.
pub fn block_on_two<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    // ANCHOR: todo_2_3 in turn, poll each that is not ready yet; return both outputs
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut x, mut y) = (None, None);
    loop {
        if x.is_none() && let Poll::Ready(output) = poll_once(a.as_mut()) {
            x = Some(output);
        }
        if y.is_none() && let Poll::Ready(output) = poll_once(b.as_mut()) {
            y = Some(output);
        }
        match (x, y) {
            (Some(x), Some(y)) => return (x, y),
            // An output that is there already waits for the other one.
            unfinished => (x, y) = unfinished,
        }
        hint::spin_loop();
    }
    // ANCHOR_END: todo_2_3
}

// ANCHOR: SilentFlag
/// A flag that other threads set and one task awaits: the version to repair. It works under the
/// `block_on` of this chapter and hangs under every executor that sleeps.
#[derive(Clone, Debug, Default)]
pub struct SilentFlag(Arc<AtomicBool>);

impl SilentFlag {
    /// Makes the future ready.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Future for SilentFlag {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if self.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}
// ANCHOR_END: SilentFlag

/// The repaired flag, in two halves: one thread sets it, one task awaits it.
pub fn flag() -> (Setter, Flag) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (Setter { shared: shared.clone() }, Flag { shared })
}

/// What the two halves share, both fields under one lock: to look at the first and to leave a
/// waker in the second is one step, and no `set` comes in between.
#[derive(Debug, Default)]
struct Shared {
    /// Whether the flag is set; never taken back.
    is_set: bool,
    /// Left here by a poll that answered `Pending`, for `set` to wake.
    waker: Option<Waker>,
}

/// The half that sets the flag.
#[derive(Debug)]
pub struct Setter {
    shared: Arc<Mutex<Shared>>,
}

/// The half that waits: ready when the flag is set.
#[derive(Debug)]
pub struct Flag {
    shared: Arc<Mutex<Shared>>,
}

impl Future for Flag {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // ANCHOR: todo_2_4 ready if the flag is set; if not, leave the waker and be pending
        let mut shared = self.shared.lock().unwrap();
        if shared.is_set {
            return Poll::Ready(());
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
        // ANCHOR_END: todo_2_4
    }
}

impl Setter {
    /// Sets the flag, and wakes whoever waits for it.
    pub fn set(self) {
        // ANCHOR: todo_2_5 set the flag, take the waker out, let go of the lock, wake
        let waker = {
            let mut shared = self.shared.lock().unwrap();
            shared.is_set = true;
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        // ANCHOR_END: todo_2_5
    }
}
