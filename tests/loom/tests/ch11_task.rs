//! Layer 11's wakes under loom: `src/ch11_task.rs` itself, compiled with loom's atomics, mutex and
//! thread-locals, over a reactor that knows nothing but wakes, made of loom's mutex and condition
//! variable. Whoever sleeps there sleeps until a wake, and nothing else ends it: a lost wake is a
//! deadlock, and loom finds it.
//!
//! In this crate, `std` is this crate: all of the real one, with loom's parts in place of its own.
//! (What a `use` names hides what a glob brings along.)

#![cfg(unix)]

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with loom's mutex and atomics.
pub mod sync {
    pub use loom::sync::Mutex;
    pub use real_std::sync::*;

    /// `std::sync::atomic`, with loom's.
    pub mod atomic {
        pub use loom::sync::atomic::{AtomicBool, AtomicU8};
        pub use real_std::sync::atomic::*;
    }
}

/// A thread-local of loom's, with what std's has.
#[derive(Debug)]
pub struct Local<T: 'static>(&'static loom::thread::LocalKey<T>);

impl<T: 'static> Local<real_std::cell::RefCell<Option<T>>> {
    /// As std's.
    pub fn try_with<R>(
        &'static self,
        f: impl FnOnce(&real_std::cell::RefCell<Option<T>>) -> R,
    ) -> Result<R, loom::thread::AccessError> {
        self.0.try_with(f)
    }

    /// As std's.
    pub fn set(&'static self, value: Option<T>) {
        self.0.with(|cell| cell.replace(value));
    }

    /// As std's.
    pub fn take(&'static self) -> Option<T> {
        self.0.with(|cell| cell.take())
    }
}

macro_rules! thread_local {
    ($(#[$doc:meta])* static $name:ident: $type:ty = const $init:block;) => {
        $(#[$doc])*
        static $name: crate::Local<$type> = {
            loom::thread_local! { static KEY: $type = $init; }
            crate::Local(&KEY)
        };
    };
}

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use ch08_poll::Root;
use ch11_task::{block_on, spawn};
use under_await::{budget, ch03_waker, ch05_handoff};

#[path = "../../../src/ch11_task.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod ch11_task;

// ── The layer ──

/// Invariant 2. The wake comes before the poll, in it, after it, or while the thread falls asleep.
#[test]
fn one_wake_of_a_task_is_not_lost_and_brings_what_came_before_it() {
    check(None, || block_on(async { spawn(a_letter()).await.unwrap() }));
}

/// The same for the root.
#[test]
fn one_wake_of_the_root_is_not_lost_and_brings_what_came_before_it() {
    check(None, || block_on(a_letter()));
}

/// Invariants 1 and 2. One of two wakes finds that the other has queued the task, or woken it during
/// its poll, and leaves it at that; and yet the poll sees what was done before each of them.
#[test]
fn two_wakes_of_a_task_are_not_lost_and_no_poll_is_without_a_wake() {
    check(Some(3), || {
        block_on(async {
            let polls = spawn(two_wakes()).await.unwrap();
            assert!(polls <= 3, "{polls} polls, 2 wakes");
        });
    });
}

/// The same for the root.
#[test]
fn two_wakes_of_the_root_are_not_lost_and_no_poll_is_without_a_wake() {
    check(Some(3), || {
        let polls = block_on(two_wakes());
        assert!(polls <= 3, "{polls} polls, 2 wakes");
    });
}

/// Two tasks, each woken by a thread: both are in the queue for the thread, or one after the other.
#[test]
fn wakes_of_two_tasks_do_not_get_into_each_other_s_way() {
    check(Some(3), || {
        block_on(async {
            let tasks = [spawn(a_letter()), spawn(a_letter())];
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

/// Invariant 4. A thread wakes a task while its `block_on` returns: the task is dropped, here and once,
/// and what the waker shares with it goes with whoever lets go of it last.
#[test]
fn a_wake_beside_the_end_of_the_runtime_does_no_harm() {
    check(None, || {
        let (dropped, shared) = (Rc::new(()), Arc::new(()));
        let (there, held) = (shared.clone(), dropped.clone());
        let mut thread = None;
        block_on(async {
            let mut task = Box::pin(poll_fn(move |cx| {
                let (waker, shared, _held) = (cx.waker().clone(), there.clone(), &held);
                thread.get_or_insert_with(|| {
                    loom::thread::spawn(move || {
                        waker.wake();
                        drop(shared);
                    })
                });
                Poll::<()>::Pending
            }));
            let mut polled = false;
            drop(spawn(poll_fn(move |cx| task.as_mut().poll(cx))));
            poll_fn(|cx| {
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        });
        assert_eq!(Rc::strong_count(&dropped), 1);
    });
}

// ── What the layer avoids: loom sees these fail ──

/// Whoever finds the task in the queue must write all the same: a look tells the poll nothing.
#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_that_only_looks_is_not_seen_by_the_poll() {
    check(Some(3), || Twin::run(Fault::OnlyLooks));
}

/// Who clears the wake after the poll clears one that the poll has not seen.
#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_that_is_forgotten_after_the_poll_is_lost() {
    check(Some(3), || Twin::run(Fault::ForgetsAfterwards));
}

/// Who ends the sleep first and queues then, ends it for nothing.
#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_that_is_ended_before_the_task_is_queued_goes_on() {
    check(Some(3), || Twin::run(Fault::RingsFirst));
}

/// The twin without a fault goes well: what fails above is the fault.
#[test]
fn the_twin_without_a_fault_loses_nothing() {
    check(Some(3), || Twin::run(Fault::None));
}

// ── The scenes ──

/// Runs `scene` in every order; with a bound, in those in which at most so many times a thread is
/// interrupted that could have gone on.
fn check(interruptions: Option<usize>, scene: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = interruptions;
    model.check(scene);
}

/// Ready when another thread has written a letter, and woken. The flag orders nothing: the wake does.
async fn a_letter() {
    let letter = loom::sync::Arc::new((UnsafeCell::new(0), AtomicBool::new(false)));
    let mut sent = false;
    poll_fn(move |cx| {
        if !std::mem::replace(&mut sent, true) {
            let (letter, waker) = (letter.clone(), cx.waker().clone());
            loom::thread::spawn(move || {
                // SAFETY: the other access comes after the wake, or loom says that it does not.
                letter.0.with_mut(|letter| unsafe { *letter = 42 });
                letter.1.store(true, Ordering::Relaxed);
                waker.wake();
            });
            return Poll::Pending;
        }
        // Without another wake, this poll is the one that the wake has led to.
        assert!(letter.1.load(Ordering::Relaxed));
        // SAFETY: as above.
        assert_eq!(letter.0.with(|letter| unsafe { *letter }), 42);
        Poll::Ready(())
    })
    .await;
}

/// Two threads do something and wake; ready when both have. How often it was polled.
async fn two_wakes() -> u32 {
    let done = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            for i in 0..2 {
                let (done, waker) = (done.clone(), cx.waker().clone());
                loom::thread::spawn(move || {
                    done[i].store(true, Ordering::Relaxed);
                    waker.wake();
                });
            }
        }
        let all = done.iter().all(|done| done.load(Ordering::Relaxed));
        if all { Poll::Ready(polls) } else { Poll::Pending }
    })
    .await
}

/// What can be wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    OnlyLooks,
    ForgetsAfterwards,
    RingsFirst,
}

/// A runtime with one task that other threads wake, and a fault.
struct Twin {
    state: AtomicU8,
    woken: Mutex<u32>,
    sleeper: Arc<Root>,
    fault: Fault,
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;

impl Twin {
    fn run(fault: Fault) {
        let (state, woken) = (AtomicU8::new(QUEUED), Mutex::new(1));
        let twin = Arc::new(Twin { state, woken, sleeper: Root::new().unwrap(), fault });
        let done = Arc::new(AtomicU32::new(0));
        for _ in 0..2 {
            let (done, waker) = (done.clone(), Waker::from(twin.clone()));
            loom::thread::spawn(move || {
                done.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            });
        }
        loop {
            let queued = std::mem::take(&mut *twin.woken.lock().unwrap());
            if queued > 0 {
                twin.state.swap(RUNNING, Ordering::Acquire);
                if done.load(Ordering::Relaxed) == 2 {
                    return;
                }
                match fault {
                    Fault::ForgetsAfterwards => twin.state.store(IDLE, Ordering::Release),
                    _ => {
                        if twin.state.fetch_and(!RUNNING, Ordering::Relaxed) != RUNNING {
                            *twin.woken.lock().unwrap() += 1;
                            continue;
                        }
                    }
                }
            }
            ch09_timer::wait(|| twin.sleeper.is_woken()).unwrap();
            twin.sleeper.take_wake();
        }
    }

    fn queue(&self) {
        if self.fault == Fault::RingsFirst {
            self.sleeper.wake_by_ref();
        }
        *self.woken.lock().unwrap() += 1;
        if self.fault != Fault::RingsFirst {
            self.sleeper.wake_by_ref();
        }
    }
}

impl Wake for Twin {
    fn wake(self: Arc<Self>) {
        let only_looks = self.fault == Fault::OnlyLooks;
        if only_looks && self.state.load(Ordering::Relaxed) & QUEUED != 0 {
            return;
        }
        if self.state.fetch_or(QUEUED, Ordering::Release) == IDLE {
            self.queue();
        }
    }
}

// ── The reactor ──

/// Layer 8, as far as layer 11 knows it: a wake of the root ends the sleep of its thread.
pub mod ch08_poll {
    use std::io;
    use std::sync::Arc;
    use std::task::Wake;

    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::sync::{Condvar, Mutex};

    loom::thread_local! {
        static SLEEP: Arc<Sleep> = Arc::default();
    }

    /// A sleep that a byte ends.
    #[derive(Debug, Default)]
    pub struct Sleep {
        state: Mutex<State>,
        bell: Condvar,
    }

    /// Whoever wakes rings only if there is a sleep.
    #[derive(Debug, Default)]
    struct State {
        parked: bool,
        rung: bool,
    }

    /// As in the layer.
    #[derive(Debug)]
    pub struct Root {
        woken: AtomicBool,
        sleep: Arc<Sleep>,
    }

    impl Root {
        /// As in the layer.
        pub fn new() -> io::Result<Arc<Self>> {
            Ok(Arc::new(Root { woken: AtomicBool::new(false), sleep: SLEEP.with(Arc::clone) }))
        }

        /// As in the layer.
        pub fn is_woken(&self) -> bool {
            self.woken.load(Ordering::SeqCst)
        }

        /// As in the layer.
        pub fn take_wake(&self) -> bool {
            self.woken.swap(false, Ordering::SeqCst)
        }
    }

    impl Wake for Root {
        fn wake(self: Arc<Self>) {
            if !self.woken.swap(true, Ordering::SeqCst) {
                let mut state = self.sleep.state.lock().unwrap();
                state.rung = state.parked;
                self.sleep.bell.notify_one();
            }
        }
    }

    /// Sleeps until it is rung, unless `awake` holds.
    pub fn wait(awake: impl Fn() -> bool) -> io::Result<()> {
        SLEEP.with(|sleep| {
            let mut state = sleep.state.lock().unwrap();
            state.parked = true;
            if !awake() {
                while !state.rung {
                    state = sleep.bell.wait(state).unwrap();
                }
            }
            *state = State::default();
        });
        Ok(())
    }
}

/// Layer 9, without timers.
pub mod ch09_timer {
    pub use crate::ch08_poll::wait;
}
