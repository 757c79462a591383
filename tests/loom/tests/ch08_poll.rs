//! Layer 8's wakes under loom: `src/ch08_poll.rs` itself, compiled with loom's atomics, and with a
//! pipe and a backend made of loom's mutex and condition variable. Whoever sleeps there sleeps until a
//! byte is in the pipe, and nothing else wakes it: a lost wake is a deadlock, and loom finds it.
//!
//! In this crate, `std` is this crate: all of the real one, with loom's flag and the model's pipe in
//! place of its own. (What a `use` names hides what a glob brings along.)

#![cfg(unix)]

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with loom's flag.
pub mod sync {
    pub use real_std::sync::*;

    /// `std::sync::atomic`, with loom's flag.
    pub mod atomic {
        pub use real_std::sync::atomic::*;

        pub use crate::model::AtomicBool;
    }
}

/// `std::io`, with the model's pipe.
pub mod io {
    pub use real_std::io::*;

    pub use crate::pipe::{PipeReader, PipeWriter};
}

/// The ground, with the model's pipe.
pub mod sys {
    pub use under_await::sys::{call, millis, spurious, unless_interrupted};

    pub use crate::pipe::{pipe, ring, silence};
}

/// One thread of each scene uses the reactor; `forget` takes it away for the next scene.
macro_rules! thread_local {
    ($(#[$doc:meta])* static $name:ident: $type:ty = const $init:block;) => {
        real_std::thread_local! { $(#[$doc])* static $name: $type = const $init; }

        pub(crate) fn forget() {
            $name.set(None);
        }
    };
}

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ch08_poll::{Root, ask_by, block_on, wait};
use under_await::{ch05_handoff, ch07_select};

#[path = "../../../src/ch08_poll.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod ch08_poll;

#[path = "../pipe.rs"]
pub mod pipe;

// ── The layer ──

/// Invariant 5. The wake comes before the sleep, during it, or while falling asleep.
#[test]
fn one_wake_is_not_lost_and_brings_what_came_before_it() {
    check(|| {
        let (waker, sleep) = the_layer();
        let letter = loom::sync::Arc::new(UnsafeCell::new(0));
        let sent = letter.clone();
        loom::thread::spawn(move || {
            // SAFETY: the other access waits for the wake, or loom says that it does not.
            sent.with_mut(|letter| unsafe { *letter = 42 });
            waker.wake();
        });
        sleep();
        // SAFETY: as above.
        assert_eq!(letter.with(|letter| unsafe { *letter }), 42);
    });
}

/// Invariant 5. Of two wakers one finds the flag set, or the sleep ended, and leaves it to the other.
#[test]
fn two_wakes_are_not_lost_and_bring_what_came_before_them() {
    check_bounded(Some(3), || two_wakes(the_layer()));
}

/// Invariant 5, for `block_on` and one waker that wakes twice: a byte that comes late does no harm.
#[test]
fn block_on_misses_neither_of_two_wakes() {
    check_bounded(Some(3), || {
        let done = Arc::new(AtomicU32::new(0));
        let mut spawned = false;
        ask_by(Box::new(model::Backend)).unwrap();
        block_on(poll_fn(|cx| {
            if !spawned {
                spawned = true;
                let (done, waker) = (done.clone(), cx.waker().clone());
                loom::thread::spawn(move || {
                    done.store(1, Ordering::Relaxed);
                    waker.wake_by_ref();
                    done.store(2, Ordering::Relaxed);
                    waker.wake();
                });
            }
            if done.load(Ordering::Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
    });
}

// ── What the layer avoids: loom sees these fail ──

/// Two flags, each stored by one side and then loaded by the other, need one order for all four
/// steps. With `Acquire` and `Release` each side may miss what the other has stored.
#[test]
#[should_panic(expected = "deadlock")]
fn without_one_order_for_all_a_wake_is_lost() {
    check(|| one_flag(a_twin(Fault::AcquireAndRelease)));
}

/// Who looks first and says then that it sleeps, is woken in between by nobody.
#[test]
#[should_panic(expected = "deadlock")]
fn a_look_before_the_parked_flag_loses_a_wake() {
    check(|| one_flag(a_twin(Fault::LooksFirst)));
}

/// Who looks for a sleeper first and sets the flag then, finds nobody, and is not found.
#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_that_looks_for_a_sleeper_first_is_lost() {
    check(|| one_flag(a_twin(Fault::WakesFirst)));
}

/// The twin without a fault goes well: what fails above is the fault.
#[test]
fn the_twin_without_a_fault_loses_nothing() {
    check(|| one_flag(a_twin(Fault::None)));
}

// ── The scenes ──

/// A waker for this thread, and its sleep until that is woken.
type Sleeper = (Waker, Box<dyn Fn()>);

/// Runs `scene` in every order, each time with a new reactor.
fn check(scene: fn()) {
    check_bounded(None, scene);
}

/// The same for scenes that have too many orders: in those in which at most so many times a thread
/// is interrupted that could have gone on.
fn check_bounded(interruptions: Option<usize>, scene: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = interruptions;
    model.check(move || {
        ch08_poll::forget();
        scene();
        ch08_poll::forget();
    });
}

/// Two threads do something and wake; this one sleeps until it has seen both.
fn two_wakes((waker, sleep): Sleeper) {
    let done = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    for i in 0..2 {
        let (done, waker) = (done.clone(), waker.clone());
        loom::thread::spawn(move || {
            done[i].store(true, Ordering::Relaxed);
            waker.wake();
        });
    }
    while !done.iter().all(|done| done.load(Ordering::Relaxed)) {
        sleep();
    }
}

/// One thread wakes; this one sleeps.
fn one_flag((waker, sleep): Sleeper) {
    loom::thread::spawn(move || waker.wake());
    sleep();
}

fn the_layer() -> Sleeper {
    ask_by(Box::new(model::Backend)).unwrap();
    let root = Root::new().unwrap();
    let waker = Waker::from(root.clone());
    let sleep = move || {
        while !root.take_wake() {
            wait(None, || root.is_woken()).unwrap();
        }
    };
    (waker, Box::new(sleep))
}

/// What can be wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    AcquireAndRelease,
    LooksFirst,
    WakesFirst,
}

/// The layer's `Root` and `wait`, with a fault.
struct Twin {
    woken: model::AtomicBool,
    parked: model::AtomicBool,
    pipe: (io::PipeReader, io::PipeWriter),
    fault: Fault,
}

fn a_twin(fault: Fault) -> Sleeper {
    let (woken, parked) = (false.into(), false.into());
    let twin = Arc::new(Twin { woken, parked, pipe: sys::pipe().unwrap(), fault });
    (twin.clone().into(), Box::new(move || twin.sleep()))
}

impl Twin {
    /// With what the four steps are ordered: `model::AtomicBool` puts no fence around these.
    fn orders(&self) -> (Ordering, Ordering, Ordering) {
        match self.fault {
            Fault::AcquireAndRelease => (Ordering::Acquire, Ordering::Release, Ordering::AcqRel),
            _ => (Ordering::SeqCst, Ordering::SeqCst, Ordering::SeqCst),
        }
    }

    fn sleep(&self) {
        let (load, store, swap) = self.orders();
        while !self.woken.swap(false, swap) {
            let early = self.fault == Fault::LooksFirst && self.woken.load(load);
            self.parked.store(true, store);
            let awake = match self.fault {
                Fault::LooksFirst => early,
                _ => self.woken.load(load),
            };
            if !awake {
                self.pipe.0.wait();
            }
            self.parked.store(false, store);
            sys::silence(&self.pipe.0);
        }
    }

    fn look_for_the_sleeper(&self) {
        // Not a swap: loom lets that see the newest value, whatever its ordering is.
        let (load, _, _) = self.orders();
        if self.parked.load(load) {
            sys::ring(&self.pipe.1);
        }
    }
}

impl Wake for Twin {
    fn wake(self: Arc<Self>) {
        let (_, store, _) = self.orders();
        if self.fault == Fault::WakesFirst {
            self.look_for_the_sleeper();
        }
        self.woken.store(true, store);
        if self.fault != Fault::WakesFirst {
            self.look_for_the_sleeper();
        }
    }
}

/// A flag and a backend made of loom's parts.
pub mod model {
    use std::io;
    use std::time::Duration;

    use loom::sync::atomic::{Ordering, fence};

    use crate::{ch08_poll, pipe};

    /// As std's, where all accesses are `SeqCst`, as in the layer: one order of all of them. Loom takes
    /// `SeqCst` for `AcqRel`, except in fences; so there is one before and after each access. And it
    /// does not know on which side of a `swap` a concurrent `store` falls; so a store is a swap.
    #[derive(Debug)]
    pub struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl From<bool> for AtomicBool {
        fn from(value: bool) -> Self {
            AtomicBool(loom::sync::atomic::AtomicBool::new(value))
        }
    }

    impl AtomicBool {
        /// As std's.
        pub fn load(&self, order: Ordering) -> bool {
            fenced(order, || self.0.load(order))
        }

        /// As std's.
        pub fn store(&self, value: bool, order: Ordering) {
            match order {
                Ordering::SeqCst => drop(self.swap(value, order)),
                _ => self.0.store(value, order),
            }
        }

        /// As std's.
        pub fn swap(&self, value: bool, order: Ordering) -> bool {
            fenced(order, || self.0.swap(value, order))
        }
    }

    fn fenced<T>(order: Ordering, access: impl FnOnce() -> T) -> T {
        let fence = || {
            if order == Ordering::SeqCst {
                fence(Ordering::SeqCst);
            }
        };
        fence();
        let result = access();
        fence();
        result
    }

    /// A kernel that knows that one pipe, and no time: a wait is a look or for ever.
    #[derive(Debug)]
    pub struct Backend;

    impl ch08_poll::Backend for Backend {
        fn wait(
            &mut self,
            _: &mut [libc::pollfd],
            timeout: Option<Duration>,
        ) -> io::Result<Vec<usize>> {
            let ready = pipe::look(timeout.is_none());
            Ok(if ready { vec![0] } else { Vec::new() })
        }
    }
}
