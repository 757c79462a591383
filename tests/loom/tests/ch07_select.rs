//! Layer 7's wakes under loom: `src/ch07_select.rs` itself, compiled with loom's flag and threads, and with
//! a pipe and a `select` that are made of loom's mutex and condition variable. Whoever sleeps there sleeps
//! until a byte is in the pipe, and nothing else wakes it: a lost wake is a deadlock, and loom finds it.
//!
//! In this crate, `std` and `libc` are this crate: all of the real ones, with loom's flag, loom's threads
//! and the model's pipe in place of their own. (What is defined hides what a glob brings along.)

#![cfg(unix)]
#![expect(ambiguous_glob_reexports, reason = "of these names none is used")]

extern crate libc as real_libc;
extern crate self as libc;
extern crate self as std;
extern crate std as real_std;

pub use real_libc::*;
pub use real_std::*;

/// `std::sync`, with loom's flag.
pub mod sync {
    pub use real_std::sync::*;

    /// `std::sync::atomic`, with loom's flag.
    pub mod atomic {
        pub use loom::sync::atomic::AtomicBool;
        pub use real_std::sync::atomic::*;
    }
}

/// `std::thread`: loom's, which all run on one of the real ones.
pub mod thread {
    pub use loom::thread::{ThreadId, current};
}

/// `std::io`, with the model's pipe.
pub mod io {
    pub use real_std::io::*;

    pub use crate::pipe::{PipeReader, PipeWriter};
}

/// The ground, with the model's pipe.
pub mod sys {
    pub use under_await::sys::{call, spurious, unless_interrupted};

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

use ch07_select::block_on;
use under_await::ch05_handoff;

#[path = "../../../src/ch07_select.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod ch07_select;

#[path = "../pipe.rs"]
pub mod pipe;

/// A kernel that knows the pipe, and no time: a wait is a look or for ever.
///
/// # Safety
/// `reads` points to a set that is borrowed mutably.
pub unsafe fn select(
    _: c_int,
    reads: *mut fd_set,
    _: *mut fd_set,
    _: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    let ready = pipe::look(timeout.is_null());
    if !ready {
        // SAFETY: no bits are the empty set.
        let empty = unsafe { mem::zeroed() };
        // SAFETY: as the caller promises.
        unsafe { reads.write(empty) };
    }
    c_int::from(ready)
}

// ── The layer ──

/// The wake comes before the sleep, during it, or while falling asleep.
#[test]
fn one_wake_is_not_lost_and_brings_what_came_before_it() {
    check(None, || one_letter(|poll| block_on(poll_fn(|cx| poll(cx.waker())))));
}

/// Two threads wake: one of them writes the byte, and the other one leaves it at the flag.
#[test]
fn two_wakes_are_not_lost() {
    check(Some(3), || {
        let done = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let mut spawned = false;
        block_on(poll_fn(|cx| {
            for i in (0..2).filter(|_| !spawned) {
                let (done, waker) = (done.clone(), cx.waker().clone());
                loom::thread::spawn(move || {
                    done[i].store(true, Ordering::Relaxed);
                    waker.wake();
                });
            }
            spawned = true;
            let all = done.iter().all(|done| done.load(Ordering::Relaxed));
            if all { Poll::Ready(()) } else { Poll::Pending }
        }));
    });
}

/// One thread wakes twice: a byte that comes late does no harm.
#[test]
fn a_second_wake_is_not_lost() {
    check(Some(3), || {
        let done = Arc::new(AtomicU32::new(0));
        let mut spawned = false;
        block_on(poll_fn(|cx| {
            if !std::mem::replace(&mut spawned, true) {
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

/// Who writes the byte first and sets the flag then, wakes a sleeper that sees no flag and sleeps on.
#[test]
#[should_panic(expected = "deadlock")]
fn a_byte_before_the_flag_loses_the_wake() {
    check(None, || one_letter(|poll| Twin::run(Fault::ByteFirst, poll)));
}

/// Who finds the flag set by a `Relaxed` swap sees the wake, and not what came before it.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_flag_brings_nothing() {
    check(None, || one_letter(|poll| Twin::run(Fault::Relaxed, poll)));
}

/// The twin without a fault goes well: what fails above is the fault.
#[test]
fn the_twin_without_a_fault_loses_nothing() {
    check(None, || one_letter(|poll| Twin::run(Fault::None, poll)));
}

// ── The scenes ──

/// Runs `scene` in every order, each time with a new reactor; or, where those are too many, in those in
/// which at most so many times a thread is interrupted that could have gone on.
fn check(interruptions: Option<usize>, scene: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = interruptions;
    model.check(move || {
        ch07_select::forget();
        scene();
        ch07_select::forget();
    });
}

/// A thread writes a letter and wakes. `block_on` polls until then, which is twice.
#[allow(clippy::type_complexity)]
fn one_letter(block_on: fn(&mut dyn FnMut(&Waker) -> Poll<()>)) {
    let letter = loom::sync::Arc::new(UnsafeCell::new(0));
    let mut polls = 0;
    block_on(&mut |waker| {
        polls += 1;
        if polls == 2 {
            return Poll::Ready(());
        }
        let (sent, waker) = (letter.clone(), waker.clone());
        loom::thread::spawn(move || {
            // SAFETY: the other access waits for the wake, or loom says that it does not.
            sent.with_mut(|letter| unsafe { *letter = 42 });
            waker.wake();
        });
        Poll::Pending
    });
    // SAFETY: as above.
    assert_eq!(letter.with(|letter| unsafe { *letter }), 42);
}

/// What can be wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    ByteFirst,
    Relaxed,
}

/// The layer's `Root` and `turn`, with a fault.
struct Twin {
    woken: AtomicBool,
    pipe: (io::PipeReader, io::PipeWriter),
    fault: Fault,
}

impl Twin {
    fn run(fault: Fault, poll: &mut dyn FnMut(&Waker) -> Poll<()>) {
        let pipe = sys::pipe().unwrap();
        let twin = Arc::new(Twin { woken: AtomicBool::new(false), pipe, fault });
        let waker = Waker::from(twin.clone());
        while poll(&waker).is_pending() {
            while !twin.turn() {}
        }
    }

    fn turn(&self) -> bool {
        if pipe::look(!self.woken.load(Ordering::Acquire)) {
            sys::silence(&self.pipe.0);
        }
        self.woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for Twin {
    fn wake(self: Arc<Self>) {
        let release =
            if self.fault == Fault::Relaxed { Ordering::Relaxed } else { Ordering::Release };
        if self.fault == Fault::ByteFirst {
            sys::ring(&self.pipe.1);
            self.woken.swap(true, release);
        } else if !self.woken.swap(true, release) {
            sys::ring(&self.pipe.1);
        }
    }
}
