//! The invariants of layer 1, as far as the exercise suite does not hold them already.

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use support::{Bell, panics};
use under_await::ch01_future::{Countdown, add_two, poll_fn, poll_once, yield_now};

#[allow(unused)]
mod support;

#[path = "../chapters/01-future/example.rs"]
#[allow(dead_code)]
mod example;

/// Pending `left` times, each time with a wake; ready with `value` after that. Everything that
/// happens to it goes into `diary`.
struct Part {
    name: &'static str,
    left: u32,
    value: u32,
    diary: Diary,
}

type Diary = Rc<RefCell<Vec<(&'static str, &'static str)>>>;

impl Future for Part {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let answer = match self.left.checked_sub(1) {
            None => Poll::Ready(self.value),
            Some(left) => {
                self.left = left;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        };
        let what = if answer.is_ready() { "ready" } else { "pending" };
        self.diary.borrow_mut().push((self.name, what));
        answer
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.diary.borrow_mut().push((self.name, "dropped"));
    }
}

/// The parts of a sum, pending `a` and `b` times, and the diary that they share.
fn parts(a: u32, b: u32) -> (Part, Part, Diary) {
    let diary = Diary::default();
    let part = |name, left, value| Part { name, left, value, diary: diary.clone() };
    (part("a", a, 20), part("b", b, 22), diary.clone())
}

/// The answers to the first `polls` polls of `future`, which is then dropped.
fn answers<F: Future>(future: F, polls: u32, diary: &Diary) -> Vec<Poll<F::Output>> {
    let mut future = pin!(future);
    let answers = (0..polls).map(|_| {
        diary.borrow_mut().push(("sum", "polled"));
        poll_once(future.as_mut())
    });
    let answers = answers.collect();
    diary.borrow_mut().push(("sum", "dropped"));
    answers
}

/// Invariant 1: an `async fn` that is called, and its future dropped, has run nothing.
#[test]
fn calling_an_async_fn_runs_nothing() {
    async fn count(calls: &Cell<u32>) {
        calls.set(calls.get() + 1);
    }
    let calls = Cell::new(0);
    drop(count(&calls));
    let mut called = pin!(count(&calls));
    assert_eq!(calls.get(), 0);
    assert!(poll_once(called.as_mut()).is_ready());
    assert_eq!(calls.get(), 1);
}

/// Invariants 1 and 2: whatever its parts do, and however early it is dropped, `AddTwo` answers as
/// the async block does, and does the same to its parts in the same order.
#[test]
fn add_two_is_the_async_block() {
    for (a, b) in (0..4).flat_map(|a| (0..4).map(move |b| (a, b))) {
        let ready_at = a + b + 1;
        for polls in 0..=ready_at {
            let (left, right, diary) = parts(a, b);
            let by_hand = answers(add_two(left, right), polls, &diary);
            let (left, right, expected) = parts(a, b);
            let block = answers(async move { left.await + right.await }, polls, &expected);

            assert_eq!(by_hand, block, "{a} and {b} times pending, dropped after {polls} polls");
            assert_eq!(diary, expected, "{a} and {b} times pending, dropped after {polls} polls");
            let ready = by_hand.last() == Some(&Poll::Ready(42));
            assert_eq!(ready, polls == ready_at);
        }
    }
}

/// Invariant 1: in whichever state it is dropped, each part is dropped once.
#[test]
fn a_sum_dropped_in_any_state_drops_each_part_once() {
    for polls in 0..=5 {
        let (a, b, diary) = parts(2, 2);
        answers(add_two(a, b), polls, &diary);
        for name in ["a", "b"] {
            let drops = diary.borrow().iter().filter(|entry| **entry == (name, "dropped")).count();
            assert_eq!(drops, 1, "{name} after {polls} polls");
        }
    }
}

/// Invariant 2: awaits that are ready are passed in one poll, however many there are.
#[test]
fn one_poll_passes_every_await_that_is_ready() {
    let passed = Cell::new(0);
    let mut walk = pin!(async {
        for _ in 0..1000 {
            Countdown::new(0).await;
            passed.set(passed.get() + 1);
        }
        Countdown::new(1).await;
        passed.set(passed.get() + 1);
    });
    assert!(poll_once(walk.as_mut()).is_pending());
    assert_eq!(passed.get(), 1000);
    assert!(poll_once(walk).is_ready());
    assert_eq!(passed.get(), 1001);
}

/// Invariant 3: a second answer is not to be had, neither from ours nor from the compiler's.
#[test]
fn polled_after_ready_they_panic() {
    fn message<F: Future>(future: F) -> String {
        let mut future = pin!(future);
        assert!(poll_once(future.as_mut()).is_ready());
        let again = panics(|| {
            let _ = poll_once(future);
        });
        again.expect("a panic, and not a second answer")
    }
    let (a, b, _) = parts(0, 0);
    assert_eq!(message(Countdown::new(0)), "`Countdown` polled after it was ready");
    assert_eq!(message(add_two(a, b)), "`AddTwo` polled after it was ready");
    assert_eq!(message(async {}), "`async fn` resumed after completion");
}

/// Invariant 4: each `Pending` comes with a wake of the waker that this poll was given, and no
/// wake comes without one.
#[test]
fn every_pending_comes_with_a_wake() {
    fn check<F: Future>(future: F, pending: u32) {
        let mut future = pin!(future);
        for _ in 0..pending {
            let (bell, waker) = Bell::new();
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(bell.rung(), 1);
        }
        let (bell, waker) = Bell::new();
        assert!(future.poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(bell.rung(), 0);
    }
    let (a, b, _) = parts(2, 3);
    check(Countdown::new(3), 3);
    check(yield_now(), 1);
    check(add_two(a, b), 5);
}

/// Invariant 4, for whoever writes the closure: it is called at each poll, with this poll's waker.
#[test]
fn poll_fn_hands_the_context_down() {
    let mut polls = 0;
    let mut future = pin!(poll_fn(|cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
    }));
    for answer in [Poll::Pending, Poll::Pending, Poll::Ready(3)] {
        let (bell, waker) = Bell::new();
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), answer);
        assert_eq!(bell.rung(), 1);
    }
}

/// Why `poll` takes a `Pin`: what an async block borrows from itself stays where it is.
#[test]
fn what_is_borrowed_over_an_await_stays_in_place() {
    let places = RefCell::new(Vec::new());
    let mut future = pin!(async {
        let page = [7u8; 100];
        let half = &page[50..];
        for _ in 0..3 {
            places.borrow_mut().push(half.as_ptr());
            yield_now().await;
        }
        half.iter().map(|byte| u32::from(*byte)).sum::<u32>()
    });
    let from = (&raw const *future).addr();
    let to = from + size_of_val(&*future);
    while poll_once(future.as_mut()).is_pending() {}
    let places = places.borrow();
    assert_eq!(places.len(), 3);
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    assert!((from..to).contains(&places[0].addr()), "{places:?} is not in {from:#x}..{to:#x}");
}

/// The sizes that the chapter speaks of are this compiler's choice; only what a state machine
/// cannot do without is asserted, with slack for what surrounds it.
#[test]
fn a_future_is_as_large_as_what_it_keeps() {
    let sizes = example::sizes();
    let [countdown, waits, waits_twice, keeps, forgets, is_given, calls] =
        sizes.map(|(_, bytes)| bytes);
    let slack = 64;
    assert!((countdown + 1..countdown + slack).contains(&waits), "the awaited future and a state");
    assert!(waits_twice < waits + slack, "the two awaited futures share a place");
    assert!((100 + waits..100 + waits + slack).contains(&keeps), "the page and the awaited future");
    assert!(forgets < 100, "no page is kept");
    assert!(is_given >= 100 + countdown, "the page came in, and is kept");
    assert!(
        (keeps..keeps + slack).contains(&calls),
        "two calls, one after the other, in one place"
    );
}
