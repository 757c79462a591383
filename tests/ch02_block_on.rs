//! Layer 2, held to its invariants. What the exercises of its chapter hold already is not here.

use std::cell::Cell;
use std::future::poll_fn;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use under_await::ch01_future::{Countdown, yield_now};
use under_await::ch02_block_on::{block_on, block_on_counting};
use under_await::sys;

/// Invariant 1: what the future owns is dropped by the time its output is there.
#[test]
fn the_future_is_dropped_before_block_on_returns() {
    let drops = Cell::new(0);
    let (owned, mut left) = (OnDrop(&drops), 2);
    block_on(poll_fn(move |_| {
        let _ = &owned;
        left -= 1;
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    }));
    assert_eq!(drops.get(), 1);
}

/// Invariant 1: a panic ends the loop as an output would, and the future is dropped.
#[test]
fn a_panic_passes_through_and_drops_the_future() {
    let (drops, polls) = (&Cell::new(0), &Cell::new(0));
    let owned = OnDrop(drops);
    let future = poll_fn(move |_| {
        let _ = &owned;
        polls.set(polls.get() + 1);
        if polls.get() == 3 { panic!("at the third poll") } else { Poll::<()>::Pending }
    });
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(future))).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"at the third poll"));
    assert_eq!((polls.get(), drops.get()), (3, 1));
}

/// Invariant 2: an async block that points into itself finds what it pointed to.
#[test]
fn a_future_that_points_into_itself_stays_valid() {
    let sum = block_on(async {
        let numbers = [1, 2, 3];
        let third = &numbers[2];
        Countdown::new(3).await;
        assert!(ptr::eq(third, &raw const numbers[2]), "the numbers have moved");
        yield_now().await;
        numbers[0] + *third
    });
    assert_eq!(sum, 4);
}

/// Invariant 3: the future's type need not be known, nor its size.
#[test]
fn a_boxed_future_of_unknown_type_runs() {
    let futures: [Pin<Box<dyn Future<Output = usize>>>; 2] =
        [Box::pin(async { Countdown::new(2).await.len() }), Box::pin(poll_fn(|_| Poll::Ready(7)))];
    assert_eq!(futures.map(block_on_counting), [(7, 3), (7, 1)]);
}

/// Invariant 3: a `block_on` inside a `block_on` is a poll that takes its time.
#[test]
fn it_nests() {
    let inner = || block_on_counting(Countdown::new(5));
    let (output, polls) = block_on_counting(async {
        let inner = inner();
        Countdown::new(2).await;
        inner
    });
    assert_eq!((output, polls), (("liftoff", 6), 3));
}

/// What the chapter says is still wrong: a wait is filled with polls, and with work.
#[test]
fn a_wait_is_a_busy_one() {
    // Miri's clock goes by its own steps, of which a poll takes many.
    let (wait, least) = if cfg!(miri) { (5, 5) } else { (50, 1_000) };
    let flag = Arc::new(AtomicBool::new(false));
    let setter = thread::spawn({
        let flag = flag.clone();
        move || {
            thread::sleep(Duration::from_millis(wait));
            flag.store(true, Ordering::Release);
        }
    });
    let before = sys::cpu_time();
    let is_set = || if flag.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending };
    let ((), polls) = block_on_counting(poll_fn(|_| black_box(is_set())));
    let cpu = sys::cpu_time().zip(before).map(|(now, before)| now - before);
    setter.join().unwrap();
    println!("{polls} polls in {wait} ms, and {cpu:?} of CPU time");
    assert!(polls >= least, "{polls} polls in {wait} ms");
}

/// Counts its drops.
struct OnDrop<'a>(&'a Cell<u32>);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}
