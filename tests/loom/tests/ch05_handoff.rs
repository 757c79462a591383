//! Layer 5 under loom: `src/ch05_handoff.rs` itself, and the lock-free cell of its exercises, compiled
//! with loom's lock and atomics in place of std's. Layer 4 is here too, to sleep with.
//!
//! In this crate, `std` is this crate: all of the real one, with loom's locks, flags, parking and
//! thread-locals in place of its own. (What a `use` names hides what a glob brings along.)

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with loom's lock and flags.
pub mod sync {
    pub use real_std::sync::*;

    /// `std::sync::atomic`, with loom's flags.
    pub mod atomic {
        pub use real_std::sync::atomic::*;

        pub use loom::sync::atomic::AtomicBool;
    }

    /// Loom's lock, which knows no `const`: it is made when it is first used.
    #[derive(Debug)]
    pub struct Mutex<T> {
        first: real_std::sync::Mutex<Option<T>>,
        made: OnceLock<loom::sync::Mutex<T>>,
    }

    impl<T> Mutex<T> {
        /// As std's.
        pub const fn new(value: T) -> Self {
            let first = real_std::sync::Mutex::new(Some(value));
            Mutex { first, made: OnceLock::new() }
        }

        /// As std's.
        pub fn lock(&self) -> LockResult<loom::sync::MutexGuard<'_, T>> {
            let first = || self.first.lock().unwrap().take().expect("it is made once");
            self.made.get_or_init(|| loom::sync::Mutex::new(first())).lock()
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Mutex::new(T::default())
        }
    }
}

/// `std::thread`, with loom's parking.
pub mod thread {
    pub use real_std::thread::*;

    pub use loom::thread::{Thread, current, park};
}

/// Loom's thread-locals begin anew in every play.
macro_rules! thread_local {
    ($($local:tt)*) => { loom::thread_local! { $($local)* } };
}

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicBool, Ordering};

use ch04_park::block_on;
use ch05_handoff::{Receiver, RecvError, WakerCell, oneshot};
use extend::LocklessCell;
use under_await::ledger;

#[path = "../../../src/ch04_park.rs"]
#[allow(dead_code, unfulfilled_lint_expectations, unreachable_pub)]
mod ch04_park;

#[path = "../../../src/ch05_handoff.rs"]
#[allow(dead_code, unreachable_pub)]
mod ch05_handoff;

/// The exercises beyond the layer: what they call `super` is this file.
#[path = "../../../chapters/05-handoff/extend.rs"]
#[allow(dead_code, unreachable_pub)]
mod extend;

/// What the exercises need of the tests' support, under loom.
mod support {
    pub(crate) mod schedules {
        /// Loom finds its points by itself.
        pub(crate) fn point(_: &str) {}

        pub(crate) mod model {
            pub(crate) use loom::sync::atomic::AtomicU8;

            /// Loom ends the play when two threads are here at once, or one without having seen what
            /// the one before it did.
            #[derive(Debug)]
            pub(crate) struct Exclusive<T>(loom::cell::UnsafeCell<T>);

            // SAFETY: loom checks what is promised here.
            unsafe impl<T: Send> Sync for Exclusive<T> {}

            impl<T: Default> Default for Exclusive<T> {
                fn default() -> Self {
                    Exclusive(loom::cell::UnsafeCell::new(T::default()))
                }
            }

            impl<T> Exclusive<T> {
                pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
                    // SAFETY: loom checks that nobody else is here.
                    self.0.with_mut(|value| f(unsafe { &mut *value }))
                }
            }
        }
    }
}

// ── The layer ──

/// Invariant 1. The send comes before, during and after the poll, and while falling asleep.
#[test]
fn a_value_arrives() {
    loom::model(|| {
        let (sender, receiver) = oneshot();
        loom::thread::spawn(move || assert_eq!(sender.send(7), Ok(())));
        assert_eq!(block_on(receiver), Ok(7));
    });
}

/// Invariants 1 and 4. The same for a sender that goes away.
#[test]
fn a_sender_goes_away() {
    loom::model(|| {
        let (sender, receiver) = oneshot::<u32>();
        loom::thread::spawn(move || drop(sender));
        assert_eq!(block_on(receiver), Err(RecvError));
    });
}

/// Invariant 2. Polled with one waker, then asleep with another.
#[test]
fn a_receiver_moves() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        loom::thread::spawn(move || sender.send(7));
        match poll(&mut receiver, Waker::noop()) {
            Poll::Ready(output) => assert_eq!(output, Ok(7)),
            Poll::Pending => assert_eq!(block_on(receiver), Ok(7)),
        }
    });
}

/// Invariant 4. Who sends to a receiver that has gone gets the value back, and in every order it is
/// dropped in the end.
#[test]
fn a_receiver_goes_away() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let value = Arc::new(());
        let (token, gone) = (value.clone(), Arc::new(AtomicBool::new(false)));
        let has_gone = gone.clone();
        let other = loom::thread::spawn(move || {
            let had_gone = has_gone.load(Ordering::Acquire);
            let given_back = sender.send(token).is_err();
            assert!(given_back || !had_gone);
        });
        let _ = poll(&mut receiver, Waker::noop());
        drop(receiver);
        gone.store(true, Ordering::Release);
        other.join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

/// The cell, as its doc says to use it. The flag is `Relaxed`: the cell's lock carries it over.
#[test]
fn a_cell_loses_no_wake() {
    let cell = || Arc::new((AtomicBool::new(false), WakerCell::new()));
    loom::model(move || waits(cell(), WakerCell::register, WakerCell::wake));
}

// ── The exercises ──

/// The same for the cell without a lock.
#[test]
fn a_lockless_cell_loses_no_wake() {
    let cell = || Arc::new((AtomicBool::new(false), LocklessCell::default()));
    loom::model(move || waits(cell(), LocklessCell::register, LocklessCell::wake));
}

/// Two threads wake, and the task that is woken must have seen what both of them did. Three threads
/// have very many orders: loom plays those with three interruptions at most.
#[test]
fn two_wakes_of_a_lockless_cell_are_not_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared =
            Arc::new(([AtomicBool::new(false), AtomicBool::new(false)], LocklessCell::default()));
        for i in 0..2 {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                shared.0[i].store(true, Ordering::Relaxed);
                shared.1.wake();
            });
        }
        let mut again = false;
        block_on(poll_fn(|cx| {
            let_the_others_go_on(&mut again);
            shared.1.register(cx.waker());
            let done = shared.0.iter().all(|done| done.load(Ordering::Relaxed));
            if done { Poll::Ready(()) } else { Poll::Pending }
        }));
    });
}

/// The version to mend: two threads are at its slot at once.
#[test]
#[should_panic(expected = "UnsafeCell")]
fn a_hasty_cell_is_undefined_behaviour() {
    let cell = || Arc::new((AtomicBool::new(false), LocklessCell::default()));
    loom::model(move || waits(cell(), LocklessCell::register_hastily, LocklessCell::wake_hastily));
}

// ── The scenes ──

/// One thread sets a flag and wakes. This one has been polled in another task, and sleeps until the
/// flag is set.
fn waits<C: Send + Sync + 'static>(
    shared: Arc<(AtomicBool, C)>,
    register: fn(&C, &Waker),
    wake: fn(&C),
) {
    register(&shared.1, &Waker::from(Arc::new(Elsewhere)));
    let other = shared.clone();
    loom::thread::spawn(move || {
        other.0.store(true, Ordering::Relaxed);
        wake(&other.1);
    });
    let mut again = false;
    block_on(poll_fn(|cx| {
        let_the_others_go_on(&mut again);
        register(&shared.1, cx.waker());
        if shared.0.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }));
}

/// A poll after the first may have been asked for by the poll before, because a wake is under way. In a
/// program that one gets on meanwhile; loom must be told.
fn let_the_others_go_on(again: &mut bool) {
    if std::mem::replace(again, true) {
        loom::thread::yield_now();
    }
}

/// A task that is not waiting here any more.
struct Elsewhere;

impl Wake for Elsewhere {
    fn wake(self: Arc<Self>) {}
}

/// Polls once.
fn poll<T>(receiver: &mut Receiver<T>, waker: &Waker) -> Poll<Result<T, RecvError>> {
    Pin::new(receiver).poll(&mut Context::from_waker(waker))
}
