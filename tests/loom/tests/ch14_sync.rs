//! Layer 14 under loom: `src/ch14_sync.rs` and its second file themselves, compiled with loom's lock in
//! place of std's. Layer 4 is here too, to sleep with, and the part of layer 1 that both use.
//!
//! In this crate, `std` is this crate: all of the real one, with loom's locks, flags, parking and
//! thread-locals in place of its own. (What a `use` names hides what a glob brings along.)

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with loom's lock and flags.
pub mod sync {
    pub use real_std::sync::*;

    pub use loom::sync::Mutex;

    /// `std::sync::atomic`, with loom's flags.
    pub mod atomic {
        pub use real_std::sync::atomic::*;

        pub use loom::sync::atomic::AtomicBool;
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

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};

use ch04_park::block_on;
use layers::ch14_sync;
use layers::ch14_sync::{Mutex, Notify, Semaphore, SendError, channel};
use under_await::{budget, ch01_future, ch05_handoff, ledger};

#[path = "../../../src/ch04_park.rs"]
#[allow(dead_code, unfulfilled_lint_expectations, unreachable_pub)]
mod ch04_park;

/// Named by its folder, so that its second file is found beside it.
#[path = "../../../src"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod layers {
    pub mod ch14_sync;
}

/// Invariants 1 and 2. Two threads add to one number.
#[test]
fn a_mutex_is_had_by_one() {
    loom::model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let other = mutex.clone();
        let thread = loom::thread::spawn(move || *block_on(other.lock()) += 1);
        *block_on(mutex.lock()) += 1;
        thread.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 2);
    });
}

/// Invariant 2. One thread gives a permit back while this one, who has asked for it, loses patience: in
/// every order the permit is there in the end.
#[test]
fn a_permit_survives_who_loses_patience() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        let thread = loom::thread::spawn(move || other.add_permits(1));
        let got = asked_once(semaphore.acquire());
        drop(got);
        thread.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// Invariant 2. The same with somebody else in the queue: whoever it is that was called, that one has
/// its turn. Three threads have very many orders: those with three interruptions at most are played.
#[test]
fn who_loses_patience_passes_the_permit_on() {
    few_interruptions(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let [gives, waits] = [(); 2].map(|()| semaphore.clone());
        let gives = loom::thread::spawn(move || gives.add_permits(1));
        let waits = loom::thread::spawn(move || drop(block_on(waits.acquire())));
        drop(asked_once(semaphore.acquire()));
        waits.join().unwrap();
        gives.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// Invariant 2. Closed while somebody asks: there is an end to the wait.
#[test]
fn a_semaphore_is_closed() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        loom::thread::spawn(move || other.close());
        assert!(block_on(semaphore.acquire()).is_err());
    });
}

/// Invariant 2. A notification that comes before, during or after the question arrives.
#[test]
fn a_notification_arrives() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        loom::thread::spawn(move || other.notify_one());
        block_on(notify.notified());
    });
}

/// Invariant 2. Asks to be notified, looks, and waits: whoever sets and notifies all does not miss it.
/// The flag is `Relaxed`: the list's lock carries it over.
#[test]
fn all_are_notified_who_looked_too_early() {
    loom::model(|| {
        let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let other = shared.clone();
        loom::thread::spawn(move || {
            other.1.store(1, Ordering::Relaxed);
            other.0.notify_waiters();
        });
        let notified = shared.0.notified();
        if shared.1.load(Ordering::Relaxed) == 0 {
            block_on(notified);
        }
        assert_eq!(shared.1.load(Ordering::Relaxed), 1);
    });
}

/// Messages arrive in order, also when there is room for one; then comes the end.
#[test]
fn messages_arrive_and_then_the_end() {
    few_interruptions(|| {
        let (sender, mut receiver) = channel(1);
        loom::thread::spawn(move || {
            block_on(async {
                sender.send(1).await.unwrap();
                sender.send(2).await.unwrap();
            });
        });
        let received = block_on(async { [receiver.recv().await, receiver.recv().await] });
        assert_eq!(received, [Some(1), Some(2)]);
        assert_eq!(block_on(receiver.recv()), None);
    });
}

/// The receiver goes while somebody waits for room: the message comes back, or has been received.
#[test]
fn a_receiver_goes_away() {
    loom::model(|| {
        let (sender, mut receiver) = channel(1);
        sender.try_send(1).unwrap();
        let thread = loom::thread::spawn(move || block_on(sender.send(2)));
        assert_eq!(receiver.try_recv(), Ok(1));
        drop(receiver);
        let sent = thread.join().unwrap();
        assert!(sent == Ok(()) || sent == Err(SendError(2)));
    });
}

// ── The scenes ──

/// Plays all orders with three interruptions at most.
fn few_interruptions(play: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(play);
}

/// Polls once, and drops the future; returns the answer.
fn asked_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
