//! What any runtime with tasks must do, as ten tests that know nothing of how it does it. They need
//! std and libc, and no other file. To run them on a runtime of your own, name it:
//!
//! ```ignore
//! #[path = "…/tests/conformance/rows.rs"]
//! mod rows;
//!
//! struct Mine;
//!
//! impl rows::Runtime for Mine {
//!     fn block_on<F: Future<Output: 'static> + 'static>(future: F) -> F::Output { mine::block_on(future) }
//!     fn spawn<F: Future<Output = ()> + 'static>(future: F) { mine::spawn(future); }
//! }
//!
//! rows::conformance!(mine: Mine);
//! ```
//!
//! Each test has a thread of its own, and a time limit: a lost wake shows as a hang. Of nineteen
//! runtimes written from scratch that were tried with such a list, none passed all ten.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::mem::MaybeUninit;
use std::panic;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// A runtime: it runs all tasks on the thread that calls `block_on`.
pub trait Runtime {
    /// Runs `future` to completion, and the tasks beside it.
    fn block_on<F: Future<Output: 'static> + 'static>(future: F) -> F::Output;

    /// Starts a task. Called inside of `block_on` only.
    fn spawn<F: Future<Output = ()> + 'static>(future: F);
}

/// Makes a module of ten tests for each runtime.
macro_rules! conformance {
    ($( $(#[$attribute:meta])* $name:ident: $runtime:ty ),* $(,)?) => { $(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::rows::conformance!(@ $runtime: self_wakes double_wakes a_thread_wakes_a_task
                a_thread_wakes_the_root nested_spawns fair_among_tasks fair_to_the_outside late_wakes
                the_root_is_ready_first idle);
        }
    )* };
    (@ $runtime:ty: $($row:ident)*) => { $(
        #[test]
        fn $row() {
            $crate::rows::in_time($crate::rows::$row::<$runtime>);
        }
    )* };
}
pub(crate) use conformance;

/// A task that wakes itself inside its poll is polled again, as often as it does so.
pub fn self_wakes<R: Runtime>() {
    let polls = R::block_on(async {
        let polls = Rc::new(Cell::new(0));
        let done = Bell::default();
        let (counted, rung) = (polls.clone(), done.clone());
        R::spawn(async move {
            for _ in 0..3 {
                counted.set(counted.get() + 1);
                once_more().await;
            }
            rung.ring();
        });
        done.heard().await;
        polls.get()
    });
    assert_eq!(polls, 3);
}

/// Two wakes in one poll are one more poll, and no poll after the end.
pub fn double_wakes<R: Runtime>() {
    let polls = R::block_on(async {
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        R::spawn(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            if counted.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
        }));
        // Time for what may be left in a queue.
        for _ in 0..50 {
            once_more().await;
        }
        polls.get()
    });
    assert_eq!(polls, 2);
}

/// Another thread wakes a task: between two polls, and while the task is being polled.
pub fn a_thread_wakes_a_task<R: Runtime>() {
    R::block_on(async {
        let done = Bell::default();
        for wakes in [from_a_thread, during_the_poll] {
            let rung = done.clone();
            R::spawn(async move {
                poll_fn(wakes()).await;
                rung.ring();
            });
            done.heard().await;
        }
    });
}

/// The same for the future that `block_on` was given.
pub fn a_thread_wakes_the_root<R: Runtime>() {
    R::block_on(async {
        poll_fn(from_a_thread()).await;
        poll_fn(during_the_poll()).await;
    });
}

/// A task may spawn in its first poll; and that task too.
pub fn nested_spawns<R: Runtime>() {
    R::block_on(async {
        let done = Bell::default();
        let rung = done.clone();
        R::spawn(async move {
            R::spawn(async move { R::spawn(async move { rung.ring() }) });
        });
        done.heard().await;
    });
}

/// A task that wakes itself for ever does not keep another one from being polled.
pub fn fair_among_tasks<R: Runtime>() {
    R::block_on(async {
        R::spawn(for_ever());
        let done = Bell::default();
        let rung = done.clone();
        R::spawn(async move {
            for _ in 0..100 {
                once_more().await;
            }
            rung.ring();
        });
        done.heard().await;
    });
}

/// Nor one that another thread wakes.
pub fn fair_to_the_outside<R: Runtime>() {
    R::block_on(async {
        R::spawn(for_ever());
        let done = Bell::default();
        let rung = done.clone();
        R::spawn(async move {
            poll_fn(from_a_thread()).await;
            rung.ring();
        });
        done.heard().await;
    });
}

/// A waker that outlives its task may be woken, from here and from elsewhere, and does nothing.
pub fn late_wakes<R: Runtime>() {
    let polls = R::block_on(async {
        let (kept, polls) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(0)));
        let (keep, counted) = (kept.clone(), polls.clone());
        R::spawn(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            keep.set(Some(cx.waker().clone()));
            Poll::Ready(())
        }));
        let waker: Waker = loop {
            match kept.take() {
                Some(waker) => break waker,
                None => once_more().await,
            }
        };
        for _ in 0..3 {
            waker.wake_by_ref();
            once_more().await;
        }
        let elsewhere = waker.clone();
        thread::spawn(move || elsewhere.wake()).join().expect("a late wake does not panic");
        // A new task may stand where the other one stood.
        R::spawn(pending());
        waker.wake();
        for _ in 0..50 {
            once_more().await;
        }
        polls.get()
    });
    assert_eq!(polls, 1);
}

/// `block_on` returns what its future returns, and as soon as it does, whatever tasks are pending.
pub fn the_root_is_ready_first<R: Runtime>() {
    let output = R::block_on(async {
        R::spawn(pending());
        R::spawn(for_ever());
        poll_fn(from_a_thread()).await;
        "done"
    });
    assert_eq!(output, "done");
}

/// While everything waits the thread sleeps: at most 10 ms of its processor in a second.
pub fn idle<R: Runtime>() {
    let busy = R::block_on(async {
        R::spawn(pending());
        let mut before = Duration::ZERO;
        let mut sleep = after(Duration::from_secs(1));
        poll_fn(move |cx| {
            if before.is_zero() {
                before = cpu_time();
            }
            sleep(cx).map(|()| cpu_time() - before)
        })
        .await
    });
    assert!(busy <= Duration::from_millis(10), "{busy:?} of processor time in an idle second");
}

// ── What the rows are made of ──

/// Runs a row on a thread of its own, and panics if that takes too long.
pub fn in_time(row: fn()) {
    let scale = std::env::var("UNDER_AWAIT_TIME_SCALE").ok().and_then(|scale| scale.parse().ok());
    let limit = Duration::from_secs(10).mul_f64(scale.unwrap_or(1.0));
    let (finished, finish) = mpsc::channel();
    let runner = thread::spawn(move || {
        row();
        let _ = finished.send(());
    });
    match finish.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => {
            panic!("not finished after {limit:?}: it hangs, or it starves")
        }
        // Finished, or panicked.
        _ => runner.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
    }
}

/// Pending once, and woken at once.
fn once_more() -> impl Future<Output = ()> {
    let mut polled = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Always pending, always woken.
async fn for_ever() {
    loop {
        once_more().await;
    }
}

type Polls = Box<dyn FnMut(&mut Context<'_>) -> Poll<()>>;

/// Pending until another thread wakes it, a little later.
fn from_a_thread() -> Polls {
    after(Duration::from_millis(20))
}

fn after(delay: Duration) -> Polls {
    let mut rung: Option<Arc<AtomicBool>> = None;
    Box::new(move |cx| {
        if let Some(rung) = &rung {
            return if rung.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending };
        }
        let (ring, waker) = (rung.insert(Arc::default()).clone(), cx.waker().clone());
        thread::spawn(move || {
            thread::sleep(delay);
            ring.store(true, Ordering::Release);
            waker.wake();
        });
        Poll::Pending
    })
}

/// Pending once, and woken by another thread before that poll returns.
fn during_the_poll() -> Polls {
    let mut polled = false;
    Box::new(move |cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        let (here, waker) = (Arc::new(Barrier::new(2)), cx.waker().clone());
        let there = here.clone();
        thread::spawn(move || {
            waker.wake();
            there.wait();
        });
        here.wait();
        Poll::Pending
    })
}

/// One rings, another one waits for it. Both are on the same thread.
#[derive(Clone, Default)]
struct Bell {
    rung: Rc<Cell<bool>>,
    waker: Rc<Cell<Option<Waker>>>,
}

impl Bell {
    fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Ready when it was rung; then it may be rung again.
    async fn heard(&self) {
        poll_fn(|cx| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// The processor time of this thread.
fn cpu_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `time` is room for a `timespec`, and ours for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
    assert_eq!(result, 0, "this system says how busy a thread is");
    // SAFETY: all zeros is a `timespec`, and so is what the call has written.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
