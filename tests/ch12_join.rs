//! Layer 12, invariant by invariant.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::future as theirs;

use support::{Bell, DropToken, Drops, Random, allocations, within};
use under_await::ch01_future::{Countdown, poll_once, yield_now};
use under_await::ch03_waker::waker_fn;
use under_await::ch04_park::block_on;
use under_await::ch05_handoff::{oneshot, thread_sleep};
use under_await::ch12_join::{MaybeDone, WokenList, join_all_naive, maybe_done};
use under_await::{join, join_all, try_join, try_join_all};

#[path = "../chapters/12-join/expansion.rs"]
mod expansion;
mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(20);

// ── 1. All at once ──

/// Invariant 1. Two futures that are pending in between take turns.
#[test]
fn two_branches_take_turns() {
    let steps = RefCell::new(String::new());
    let walk = async |name: char| {
        for step in 0..3 {
            steps.borrow_mut().push_str(&format!("{name}{step} "));
            yield_now().await;
        }
        name
    };
    assert_eq!(block_on(async { join!(walk('a'), walk('b')) }), ('a', 'b'));
    assert_eq!(steps.take(), "a0 b0 a1 b1 a2 b2 ");
    assert_eq!(block_on(join_all([walk('a'), walk('b')])), ['a', 'b']);
    assert_eq!(steps.take(), "a0 b0 a1 b1 a2 b2 ");
}

/// Invariant 1. Three that wait for each other in a ring: who waits for one first waits for ever.
#[test]
fn three_that_need_each_other_come_to_an_end() {
    within(LIMIT, || {
        let ((to_a, a), (to_b, b), (to_c, c)) = (oneshot(), oneshot(), oneshot());
        let last = async {
            let _ = to_b.send(1);
            a.await.unwrap()
        };
        let first = async {
            let n = c.await.unwrap();
            let _ = to_a.send(n + 1);
        };
        let middle = async {
            let n: u32 = b.await.unwrap();
            let _ = to_c.send(n + 1);
        };
        assert_eq!(block_on(async { join!(first, middle, last) }), ((), (), 3));
    });
}

/// One to twelve, and more; with a comma at the end and without one.
#[test]
fn any_number_of_branches() {
    block_on(async {
        assert_eq!(join!(ready(1)), (1,));
        assert_eq!(join!(ready(1), ready('b'),), (1, 'b'));
        let (a, .., l) = join!(
            ready(1),
            ready(2),
            ready(3),
            ready(4),
            ready(5),
            ready(6),
            ready(7),
            ready(8),
            ready(9),
            ready(10),
            ready(11),
            yields("twelve", 2),
        );
        assert_eq!((a, l), (1, "twelve"));
        assert_eq!(try_join!(fine(1)), Ok((1,)));
        let twelve = try_join!(
            fine(1),
            fine(2),
            fine(3),
            fine(4),
            fine(5),
            fine(6),
            fine(7),
            fine(8),
            fine(9),
            fine(10),
            fine(11),
            fine(12),
        );
        assert_eq!(twelve, Ok((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)));
        // More than std's tuples can do.
        let more = join!(
            ready(1),
            ready(2),
            ready(3),
            ready(4),
            ready(5),
            ready(6),
            ready(7),
            ready(8),
            ready(9),
            ready(10),
            ready(11),
            ready(12),
            ready(13),
            ready(14),
        );
        assert_eq!(more.13, 14);
        assert_eq!(join_all(Vec::<Countdown>::new()).await, [""; 0]);
        assert_eq!(try_join_all(Vec::<theirs::Ready<Result<(), ()>>>::new()).await, Ok(vec![]));
        assert_eq!(join_all_naive(Vec::<Countdown>::new()).await, [""; 0]);
    });
}

/// The macros need nothing from the place where they stand: not even the names of the prelude.
#[test]
fn the_macros_bring_their_own_names() {
    #[no_implicit_prelude]
    mod elsewhere {
        #[allow(dead_code, non_camel_case_types)]
        pub(super) struct Poll;
        #[allow(dead_code)]
        pub(super) enum Result {
            Ok,
            Err,
        }
        #[allow(unused_imports)]
        use self::Result::{Err, Ok};

        pub(super) async fn both() -> (u8, u8) {
            ::under_await::join!(async { 1 }, async { 2 })
        }

        pub(super) async fn either(e: ::std::result::Result<u8, u8>) -> bool {
            ::under_await::try_join!(async { e }, async { e }).is_ok()
        }
    }
    assert_eq!(block_on(elsewhere::both()), (1, 2));
    assert!(block_on(elsewhere::either(Ok(1))));
    assert!(!block_on(elsewhere::either(Err(1))));
}

/// Variables of the caller keep their meaning inside the macros, whatever they are called.
#[test]
fn the_macros_leave_the_names_of_others_alone() {
    let (branch, all_done, cx, end) = (1, 2, 3, 4);
    let output = block_on(async {
        join!(async { branch }, async { all_done }, async { cx }, async { end })
    });
    assert_eq!(output, (1, 2, 3, 4));
}

/// What makes the futures belongs to the function around, as in any other expression.
#[test]
fn the_expressions_belong_to_the_function_around() {
    async fn both(a: Option<u32>, b: Option<u32>) -> Option<u32> {
        let (a, b) = join!(ready(a?), ready(b?));
        Some(a + b)
    }
    assert_eq!(block_on(both(Some(1), Some(2))), Some(3));
    assert_eq!(block_on(both(Some(1), None)), None);
    let mut passed = 0;
    let stopped = block_on(async {
        loop {
            passed += 1;
            let _ = join!(ready(1), if passed < 3 { ready(2) } else { break "out" });
        }
    });
    assert_eq!((stopped, passed), ("out", 3));
}

/// Branches may borrow from the function around, and from the same variable.
#[test]
fn branches_may_borrow() {
    let text = String::from("hello");
    let count = Cell::new(0);
    let add = async |n: usize| {
        yield_now().await;
        count.set(count.get() + n);
        text.len()
    };
    assert_eq!(block_on(async { join!(add(1), add(2)) }), (5, 5));
    assert_eq!(block_on(join_all([add(4), add(8)])), [5, 5]);
    assert_eq!(count.get(), 15);
}

/// What can be awaited can be joined.
#[test]
fn a_branch_need_not_be_a_future_yet() {
    struct Soon;
    impl IntoFuture for Soon {
        type Output = &'static str;
        type IntoFuture = Countdown;
        fn into_future(self) -> Countdown {
            Countdown::new(2)
        }
    }
    assert_eq!(block_on(async { join!(Soon, Soon) }), ("liftoff", "liftoff"));
}

// ── 2. Once ──

/// Invariant 2. `join!` allocates nothing, however often it is polled.
#[test]
fn join_allocates_nothing() {
    let (_bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    let mut output = None;
    let count = allocations(|| {
        let mut both = pin!(async { join!(yields(1, 3), yields(2, 5), yields("three", 0)) });
        while output.is_none() {
            output = ready_output(both.as_mut().poll(&mut cx));
        }
    });
    assert_eq!((count, output), (0, Some((1, 2, "three"))));
    let mut output = None;
    let count = allocations(|| {
        let mut both = pin!(async { try_join!(fine(1), failing("no", 4), fine(3)) });
        while output.is_none() {
            output = ready_output(both.as_mut().poll(&mut cx));
        }
    });
    assert_eq!((count, output), (0, Some(Err("no"))));
}

/// `join_all` allocates a waker for each future, and besides that no more for many than for few.
#[test]
fn join_all_allocates_a_waker_for_each() {
    let mut counts = [30, if cfg!(miri) { 60 } else { 3000 }].map(|n| {
        allocations(|| {
            let mut all = pin!(join_all((0..n).map(|n| yields(n, 1))));
            while poll_once(all.as_mut()).is_pending() {}
        }) - n
    });
    counts.sort();
    // Its own tables grow by doubling.
    assert!(counts[1] <= 60, "{counts:?} beyond one for each");
}

/// Invariant 2. Who is done is not polled again, in a hundred polls of the others.
#[test]
fn who_is_done_is_not_polled_again() {
    let early = (Counted::new(yields('a', 0)), Counted::new(yields('b', 3)));
    let polls = (early.0.polls.clone(), early.1.polls.clone());
    let slow = Counted::new(yields('c', 100));
    let slow_polls = slow.polls.clone();
    assert_eq!(block_on(async { join!(early.0, early.1, slow) }), ('a', 'b', 'c'));
    assert_eq!((polls.0.get(), polls.1.get(), slow_polls.get()), (1, 4, 101));
}

/// Invariant 2. The outputs stand in the order of the futures, in whatever order they come.
#[test]
fn outputs_are_in_the_order_of_the_futures() {
    let n = if cfg!(miri) { 20 } else { 1000 };
    for order in orders(n) {
        let (gates, keys) = gates(n);
        let mut all = pin!(join_all(gates));
        assert!(poll_once(all.as_mut()).is_pending());
        for &next in &order[1..] {
            keys[next].open();
            assert!(poll_once(all.as_mut()).is_pending());
        }
        keys[order[0]].open();
        assert_eq!(poll_once(all.as_mut()), Poll::Ready((0..n).collect()));
    }
}

/// Invariant 2. A future is dropped when it is done, though others are still running.
#[test]
fn a_future_goes_when_it_is_done() {
    let drops = Drops::default();
    let done = |token: DropToken| async move { drop((yield_now().await, token)) };
    let mut both = pin!(async { join!(holds(drops.token()), pending::<()>()) });
    assert!(poll_once(both.as_mut()).is_pending());
    assert_eq!(drops.count(), 1);
    let mut all = pin!(join_all([done(drops.token()), done(drops.token())]));
    assert!(poll_once(all.as_mut()).is_pending());
    assert_eq!(drops.count(), 1);
    assert!(poll_once(all.as_mut()).is_ready());
    assert_eq!(drops.count(), 3);
}

/// A future, and after it its output, until that is taken.
#[test]
fn maybe_done_is_a_future_then_an_output_then_nothing() {
    let drops = Drops::default();
    let token = drops.token();
    let mut child = pin!(maybe_done(yields(token, 1)));
    assert!(child.as_mut().take_output().is_none());
    assert!(poll_once(child.as_mut()).is_pending());
    assert!(child.as_mut().take_output().is_none());
    for _ in 0..3 {
        assert!(poll_once(child.as_mut()).is_ready());
    }
    assert_eq!(drops.count(), 0);
    assert!(child.as_mut().take_output().is_some());
    assert_eq!(drops.count(), 1);
    assert!(child.as_mut().take_output().is_none());
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(child))).is_err());

    let mut failed = pin!(maybe_done(failing("no", 0)));
    assert!(poll_once(failed.as_mut()).is_ready());
    assert_eq!(failed.as_mut().take_error(), Some("no"));
    assert!(matches!(*failed, MaybeDone::Gone));
}

/// After its outputs a join has no second answer.
#[test]
fn a_join_that_is_over_panics() {
    let panics = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
    let mut all = join_all([ready(1)]);
    assert_eq!(poll_once(Pin::new(&mut all)), Poll::Ready(vec![1]));
    assert!(panics(&mut || drop(poll_once(Pin::new(&mut all)))));
    let mut none = join_all(Vec::<Countdown>::new());
    assert!(poll_once(Pin::new(&mut none)).is_ready());
    assert!(panics(&mut || drop(poll_once(Pin::new(&mut none)))));
    let mut failed = try_join_all([failing("no", 0), failing("never", 9)]);
    assert_eq!(poll_once(Pin::new(&mut failed)), Poll::Ready(Err("no")));
    assert!(panics(&mut || drop(poll_once(Pin::new(&mut failed)))));
    let mut both = Box::pin(async { join!(ready(1), ready(2)) });
    assert_eq!(poll_once(both.as_mut()), Poll::Ready((1, 2)));
    assert!(panics(&mut || {
        let _ = poll_once(both.as_mut());
    }));
}

// ── 3. Only the woken ──

/// The naive version polls all that are not done: n, and then n, n-1, … 1.
#[test]
fn the_naive_version_makes_n_times_n_plus_three_by_two_polls() {
    for (n, polls) in [(30, 495), (300, 45_450)] {
        if cfg!(miri) && n > 30 {
            continue;
        }
        for order in orders(n) {
            assert_eq!(polls_one_at_a_time(|gates| Box::pin(join_all_naive(gates)), &order), polls);
        }
    }
}

/// Invariant 3. With a waker for each: once, and once more when it was woken.
#[test]
fn only_the_woken_are_polled() {
    for n in [30, 300, 3000, 100_000] {
        if cfg!(miri) && n > 30 {
            continue;
        }
        for order in orders(n) {
            let polls = polls_one_at_a_time(|gates| Box::pin(join_all(gates)), &order);
            assert_eq!(polls, 2 * n as u64, "at most {} for {n}", 2 * n + 1);
        }
    }
}

/// Invariant 3. Nobody is polled who was not woken, however often the parent is.
#[test]
fn polls_of_the_parent_alone_poll_nobody() {
    let (gates, keys) = gates(10);
    let mut all = pin!(join_all(gates));
    (0..100).for_each(|_| assert!(poll_once(all.as_mut()).is_pending()));
    assert_eq!(polls(&keys), 10);
    keys[3].waker().wake_by_ref();
    (0..100).for_each(|_| assert!(poll_once(all.as_mut()).is_pending()));
    assert_eq!((polls(&keys), keys[3].polls()), (11, 2));
}

/// Invariant 3. Many wakes of one child are one place on the list and one wake of the parent.
#[test]
fn a_hundred_thousand_wakes_are_one_poll() {
    let (gates, keys) = gates(3);
    let (bell, waker) = Bell::new();
    let mut all = pin!(join_all(gates));
    assert!(all.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let child = keys[1].waker();
    (0..if cfg!(miri) { 100 } else { 100_000 }).for_each(|_| child.wake_by_ref());
    assert_eq!(bell.rung(), 1);
    assert!(all.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!((polls(&keys), bell.rung()), (4, 0));
}

/// A child that wakes itself in every poll is polled once in each poll of the parent: it does not
/// keep the parent from returning, nor the others from their turn.
#[test]
fn a_child_that_wakes_itself_takes_turns() {
    within(LIMIT, || {
        let busy = Counted::new(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let polls = busy.polls.clone();
        let (bell, waker) = Bell::new();
        let mut all = pin!(join_all([Box::pin(busy) as Pin<Box<dyn Future<Output = ()>>>]));
        for poll in 1..=100 {
            assert!(all.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!((polls.get(), bell.rung()), (poll, 1));
        }
    });
}

// ── 4. No lost wake ──

/// Invariant 4. A child wakes the parent's newest waker, once, and no other.
#[test]
fn the_newest_waker_of_the_parent_is_woken() {
    let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
    let (gates, keys) = gates(2);
    let mut all = pin!(join_all(gates));
    assert!(all.as_mut().poll(&mut Context::from_waker(&waker_a)).is_pending());
    assert!(all.as_mut().poll(&mut Context::from_waker(&waker_b)).is_pending());
    assert_eq!(Arc::strong_count(&a), 2, "the older waker was given up");
    keys[0].open();
    keys[1].open();
    assert_eq!((a.rung(), b.rung()), (0, 1));
    assert!(all.as_mut().poll(&mut Context::from_waker(&waker_a)).is_ready());
}

/// Invariant 4. Woken by other threads, while the parent is polled, asleep or in between.
#[test]
fn wakes_from_eight_threads_are_not_lost() {
    let rounds = if cfg!(miri) { 1 } else { 200 };
    within(3 * LIMIT, move || {
        for round in 0..rounds {
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..64).map(|_| oneshot()).unzip();
            let mut hands = (0..8).map(|_| Vec::new()).collect::<Vec<_>>();
            for (n, sender) in senders.into_iter().enumerate() {
                hands[(n + round) % 8].push((n, sender));
            }
            let threads = hands.into_iter().map(|hand| {
                thread::spawn(move || hand.into_iter().for_each(|(n, to)| to.send(n).unwrap()))
            });
            let threads = threads.collect::<Vec<_>>();
            let outputs = block_on(try_join_all(receivers));
            assert_eq!(outputs, Ok((0..64).collect()));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// Invariant 4. A child is woken by its own poll, by that of an earlier one and by that of a later one.
#[test]
fn children_may_wake_each_other() {
    within(LIMIT, || {
        let (sender, receiver) = oneshot();
        let (back, answer) = oneshot();
        let first: Pin<Box<dyn Future<Output = u32>>> = Box::pin(async { receiver.await.unwrap() });
        let second: Pin<Box<dyn Future<Output = u32>>> = Box::pin(async {
            yield_now().await;
            sender.send(1).unwrap();
            answer.await.unwrap()
        });
        let third: Pin<Box<dyn Future<Output = u32>>> = Box::pin(async {
            yield_now().await;
            back.send(2).unwrap();
            3
        });
        assert_eq!(block_on(join_all([first, second, third])), [1, 2, 3]);
    });
}

/// Invariant 4. The parent is woken when the lock is free: its waker may poll at once.
#[test]
fn the_parents_waker_may_poll_at_once() {
    let polled = within(LIMIT, || {
        let (gates, keys) = gates(2);
        let all = Arc::new(Mutex::new((Box::pin(join_all(gates)), 0)));
        let waker = waker_fn({
            let all = all.clone();
            move || {
                let (all, polled) = &mut *all.lock().unwrap();
                *polled += 1;
                assert!(poll_once(all.as_mut()).is_pending());
            }
        });
        let first = all.lock().unwrap().0.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        keys[1].open();
        all.lock().unwrap().1
    });
    assert_eq!(polled, 1);
}

/// Invariant 4. The parent's older waker may own a task whose end wakes a child.
#[test]
fn the_parents_older_waker_may_wake_a_child() {
    within(LIMIT, || {
        struct Task(Waker);
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for Task {
            fn drop(&mut self) {
                self.0.wake_by_ref();
            }
        }
        let (gates, keys) = gates(1);
        let mut all = pin!(join_all(gates));
        assert!(poll_once(all.as_mut()).is_pending());
        let task = Waker::from(Arc::new(Task(keys[0].waker())));
        assert!(all.as_mut().poll(&mut Context::from_waker(&task)).is_pending());
        drop(task);
        let (bell, waker) = Bell::new();
        assert!(all.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(bell.rung(), 1);
    });
}

/// A child's waker may be woken after the end, after the drop, twice, and kept for ever. It keeps the
/// parent's waker no longer than the join lives.
#[test]
fn a_childs_waker_may_outlive_everything() {
    let (bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    let (ended, dropped) = (gates(3), gates(3));
    let mut all = Box::pin(join_all(ended.0));
    let mut cut = Box::pin(join_all(dropped.0));
    assert!(all.as_mut().poll(&mut cx).is_pending() && cut.as_mut().poll(&mut cx).is_pending());
    let kept = [&ended.1, &dropped.1].map(|keys| keys.iter().map(Key::waker).collect::<Vec<_>>());
    ended.1.iter().for_each(Key::open);
    assert!(all.as_mut().poll(&mut cx).is_ready());
    drop((all, cut));
    bell.rung();
    for waker in kept.iter().flatten() {
        (0..2).for_each(|_| waker.wake_by_ref());
    }
    let other = thread::spawn(move || kept.into_iter().flatten().for_each(Waker::wake));
    other.join().unwrap();
    assert_eq!((bell.rung(), Arc::strong_count(&bell)), (0, 2));
    assert_eq!((polls(&ended.1), polls(&dropped.1)), (6, 3));
}

/// Who is done and woken once more is not polled.
#[test]
fn a_wake_after_its_end_polls_nobody() {
    let (gates, keys) = gates(2);
    let mut all = pin!(join_all(gates));
    assert!(poll_once(all.as_mut()).is_pending());
    let late = keys[0].waker();
    keys[0].open();
    assert!(poll_once(all.as_mut()).is_pending());
    late.wake();
    assert!(poll_once(all.as_mut()).is_pending());
    assert_eq!((keys[0].polls(), keys[1].polls()), (2, 1));
    keys[1].open();
    assert_eq!(poll_once(all.as_mut()), Poll::Ready(vec![0, 1]));
}

/// A join in a join in a join: each level has its own list, and the wakes go through all of them.
#[test]
fn joins_in_joins() {
    within(LIMIT, || {
        let n = 4;
        let leaf = |ms| async move {
            thread_sleep(Duration::from_millis(ms)).await;
            ms
        };
        let row = |at| async move { join_all((0..n).map(|i| leaf(at + i))).await };
        let rows = join_all((0..n).map(|i| row(n * i)));
        let (rows, last) = block_on(async { join!(rows, leaf(1)) });
        assert_eq!(rows.concat(), (0..n * n).collect::<Vec<_>>());
        assert_eq!(last, 1);
    });
}

/// The list by itself: who was woken, once each, in order, and the parent told once.
#[test]
fn a_list_notes_who_was_woken() {
    let list = Arc::new(WokenList::default());
    let wakers = (0..4).map(|child| list.waker(child)).collect::<Vec<_>>();
    let (bell, parent) = Bell::new();
    let mut woken = vec![9];
    list.look(&parent, &mut woken);
    assert_eq!(woken, [9]);
    for child in [2, 0, 2, 3] {
        wakers[child].wake_by_ref();
    }
    assert_eq!(bell.rung(), 1);
    list.look(&parent, &mut woken);
    assert_eq!(woken, [9, 2, 0, 3]);
    wakers[2].wake_by_ref();
    list.look(&parent, &mut woken);
    assert_eq!((woken.as_slice(), bell.rung()), (&[9, 2, 0, 3, 2][..], 1));
    drop(list);
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!((bell.rung(), Arc::strong_count(&bell)), (0, 2));
}

// ── 5. Together ──

/// What every kind of join makes of two futures: one that ends at its second poll, and one that never
/// does.
type Join = fn(DropToken, DropToken) -> Pin<Box<dyn Future<Output = ()>>>;

const JOINS: [(&str, Join); 5] = [
    ("join!", |a, b| Box::pin(async { drop(join!(yields(a, 1), never(b))) })),
    ("try_join!", |a, b| {
        Box::pin(async { drop(try_join!(async { Ok::<_, ()>(yields(a, 1).await) }, never(b))) })
    }),
    ("join_all", |a, b| Box::pin(async { drop(join_all(both(a, b)).await) })),
    ("join_all_naive", |a, b| Box::pin(async { drop(join_all_naive(both(a, b)).await) })),
    ("try_join_all", |a, b| {
        let both = both(a, b).into_iter().map(|child| async { Ok::<_, ()>(child.await) });
        let both = both.collect::<Vec<_>>();
        Box::pin(async { drop(try_join_all(both).await) })
    }),
];

/// Invariant 5. Dropped before the first poll, in the middle, with an output that was not given out:
/// everything is dropped once.
#[test]
fn a_join_that_is_dropped_drops_everything_once() {
    for (name, join) in JOINS {
        for polls in 0..4 {
            let drops = Drops::default();
            let mut joined = join(drops.token(), drops.token());
            (0..polls).for_each(|_| assert!(poll_once(joined.as_mut()).is_pending()));
            assert_eq!(drops.count(), 0, "{name} after {polls} polls");
            drop(joined);
            assert_eq!(drops.count(), 2, "{name}, dropped after {polls} polls");
        }
    }
}

/// Invariant 5. A panic in one drops the others, and goes on to whoever polls.
#[test]
fn a_panic_drops_the_others() {
    async fn child(n: u32, _token: DropToken) -> Result<(), ()> {
        yield_now().await;
        assert!(n != 1, "expected by the test");
        pending().await
    }
    type Three = fn(&Drops) -> Pin<Box<dyn Future<Output = ()>>>;
    let joins: [(&str, Three); 5] = [
        ("join!", |drops| {
            let (a, b, c) =
                (child(0, drops.token()), child(1, drops.token()), child(2, drops.token()));
            Box::pin(async {
                let _ = join!(a, b, c);
            })
        }),
        ("try_join!", |drops| {
            let (a, b, c) =
                (child(0, drops.token()), child(1, drops.token()), child(2, drops.token()));
            Box::pin(async {
                let _ = try_join!(a, b, c);
            })
        }),
        ("join_all", |drops| {
            let all = join_all([0, 1, 2].map(|n| child(n, drops.token())));
            Box::pin(async { drop(all.await) })
        }),
        ("join_all_naive", |drops| {
            let all = join_all_naive([0, 1, 2].map(|n| child(n, drops.token())));
            Box::pin(async { drop(all.await) })
        }),
        ("try_join_all", |drops| {
            let all = try_join_all([0, 1, 2].map(|n| child(n, drops.token())));
            Box::pin(async { drop(all.await) })
        }),
    ];
    for (name, join) in joins {
        let drops = Drops::default();
        let joined = join(&drops);
        let panicked = catch_unwind(AssertUnwindSafe(|| block_on(joined)));
        let text = *panicked.expect_err(name).downcast::<&str>().expect(name);
        assert_eq!((text, drops.count()), ("expected by the test", 3), "{name}");
    }
}

/// Invariant 5. The first error ends it: who comes later in the order is not polled any more, and all
/// the others are dropped before the error is given out.
#[test]
fn the_first_error_ends_it() {
    async fn child(n: u32, end: Result<u32, u32>, _token: DropToken) -> Result<u32, u32> {
        yields(end, n).await
    }
    let drops = Drops::default();
    let token = || drops.token();
    let output = block_on(async {
        let output = try_join!(
            child(9, Ok(0), token()),
            child(2, Err(1), token()),
            child(2, Err(2), token())
        );
        assert_eq!(drops.count(), 3);
        output
    });
    assert_eq!(output, Err(1));
    let ends = [(0, Ok(0)), (9, Ok(1)), (3, Err(2)), (3, Err(3)), (1, Ok(4))];
    let mut all = pin!(try_join_all(ends.map(|(n, end)| child(n, end, token()))));
    (0..3).for_each(|_| assert!(poll_once(all.as_mut()).is_pending()));
    assert_eq!(poll_once(all.as_mut()), Poll::Ready(Err(2)));
    assert_eq!(drops.count(), 3 + 5);

    let later = Counted::new(failing("later", 1));
    let polls = later.polls.clone();
    assert_eq!(block_on(async { try_join!(failing("first", 1), later) }), Err("first"));
    assert_eq!(polls.get(), 1);
}

// ── futures as the judge ──

/// Random scripts: the same polls in the same order, the same output at the same poll.
#[test]
fn join_does_what_futures_does() {
    let mut random = Random(12);
    for _ in 0..if cfg!(miri) { 10 } else { 2000 } {
        let [a, b, c] = [0; 3].map(|_| random.below(5));
        let ends = [0; 3]
            .map(|_| if random.below(3) == 0 { Err(random.below(9)) } else { Ok(random.below(9)) });
        let log = RefCell::new(Vec::new());
        let child = |name: u8, n: u32| noted(&log, name, yields(name, n));
        let ours = run(&log, async { join!(child(0, a), child(1, b), child(2, c)) });
        let futures = run(&log, theirs::join3(child(0, a), child(1, b), child(2, c)));
        assert_eq!(ours, futures);
        // What the chapter says that it expands to.
        let theirs = run(&log, theirs::join(child(0, a), child(1, b)));
        assert_eq!(run(&log, expansion::expanded(child(0, a), child(1, b))), theirs);
        let child = |name: u8, n: u32| noted(&log, name, yields(ends[usize::from(name)], n));
        let ours = run(&log, async { try_join!(child(0, a), child(1, b), child(2, c)) });
        let futures = run(&log, theirs::try_join3(child(0, a), child(1, b), child(2, c)));
        assert_eq!(ours, futures);
    }
}

/// The same for collections: the output, and the poll of the parent at which it comes.
#[test]
fn join_all_does_what_futures_does() {
    let mut random = Random(144);
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        // Up to thirty, futures polls them all each time; from there on, with a waker for each.
        let n = 1 + random.below(60);
        let script =
            (0..n).map(|n| (n, random.below(5), random.below(20) == 0)).collect::<Vec<_>>();
        let log = RefCell::new(Vec::new());
        let children = || script.iter().map(|&(n, polls, _)| yields(n, polls));
        let ours = run(&log, join_all(children())).0;
        assert_eq!(ours, run(&log, theirs::join_all(children())).0);
        assert_eq!(ours, run(&log, join_all_naive(children())).0);
        let ends = || {
            script
                .iter()
                .map(|&(n, polls, fails)| yields(if fails { Err(n) } else { Ok(n) }, polls))
        };
        let ours = run(&log, try_join_all(ends())).0;
        match (ours, run(&log, theirs::try_join_all(ends())).0) {
            // There, from 31 on, an error has to wait until all before it are done.
            (Err(_), Err(_)) if n > 30 => {}
            (ours, futures) => assert_eq!(ours, futures),
        }
    }
}

/// What the joins may be moved to, and what they may be made of.
#[test]
fn joins_are_send_and_unpin() {
    fn is_send<T: Send>(_: &T) {}
    fn is_unpin<T: Unpin>(_: &T) {}
    let pinned = || async { std::marker::PhantomPinned };
    is_send(&join_all([pinned()]));
    is_unpin(&join_all([pinned()]));
    is_send(&try_join_all([fine(1)]));
    is_send(&join_all_naive([fine(1)]));
    is_send(&async { join!(fine(1), fine(2)) });
    is_send(&async { try_join!(fine(1), fine(2)) });
    is_send(&WokenList::default());
    // Not `Send`, and not `'static`.
    let (here, text) = (Rc::new(1), String::from("text"));
    let child = async |n: usize| (Rc::strong_count(&here), &text[..n]);
    assert_eq!(block_on(join_all([child(1), child(2)])), [(1, "t"), (1, "te")]);
}

// ── The parts ──

/// Pending `n` times, and each time woken by itself; then ready.
async fn yields<T>(output: T, n: u32) -> T {
    for _ in 0..n {
        yield_now().await;
    }
    output
}

/// Ready with `Ok`, at once.
async fn fine(n: u32) -> Result<u32, &'static str> {
    Ok(n)
}

/// Ready with an error, after it was pending `n` times.
async fn failing(error: &'static str, n: u32) -> Result<u32, &'static str> {
    Err(yields(error, n).await)
}

/// Holds something until it is done, at its first poll.
async fn holds<T>(_held: T) {}

/// Holds something for ever.
async fn never<T>(_held: T) -> Result<(), ()> {
    pending().await
}

/// The two of [`Join`], of the same type.
fn both(a: DropToken, b: DropToken) -> [Pin<Box<dyn Future<Output = Option<DropToken>>>>; 2] {
    let never = async {
        let _b = b;
        pending().await
    };
    [Box::pin(async { Some(yields(a, 1).await) }), Box::pin(never)]
}

/// What came out, if it did.
fn ready_output<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Counts the polls of a future.
struct Counted<F> {
    future: Pin<Box<F>>,
    polls: Rc<Cell<u32>>,
}

impl<F> Counted<F> {
    fn new(future: F) -> Self {
        Counted { future: Box::pin(future), polls: Rc::default() }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.set(self.polls.get() + 1);
        self.future.as_mut().poll(cx)
    }
}

/// Pending until its key opens it. Then it is ready with its number.
struct Gate {
    number: usize,
    lock: Arc<Mutex<Lock>>,
}

/// See [`Gate`].
struct Key(Arc<Mutex<Lock>>);

/// What a gate and its key share.
#[derive(Default)]
struct Lock {
    polls: u64,
    is_open: bool,
    waker: Option<Waker>,
}

/// So many gates, and their keys.
fn gates(n: usize) -> (Vec<Gate>, Vec<Key>) {
    let pair = |number| {
        let lock = Arc::<Mutex<Lock>>::default();
        (Gate { number, lock: lock.clone() }, Key(lock))
    };
    (0..n).map(pair).unzip()
}

impl Future for Gate {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let mut lock = self.lock.lock().unwrap();
        lock.polls += 1;
        lock.waker = Some(cx.waker().clone());
        if lock.is_open { Poll::Ready(self.number) } else { Poll::Pending }
    }
}

impl Key {
    /// Opens the gate, and wakes who waits there.
    fn open(&self) {
        self.0.lock().unwrap().is_open = true;
        self.waker().wake();
    }

    /// The waker of its latest poll.
    fn waker(&self) -> Waker {
        self.0.lock().unwrap().waker.clone().expect("the gate was polled")
    }

    /// How often the gate was polled.
    fn polls(&self) -> u64 {
        self.0.lock().unwrap().polls
    }
}

/// How often all the gates were polled.
fn polls(keys: &[Key]) -> u64 {
    keys.iter().map(Key::polls).sum()
}

/// How many polls of children a join makes when they end one at a time, in the given order.
fn polls_one_at_a_time<F>(join: impl Fn(Vec<Gate>) -> F, order: &[usize]) -> u64
where
    F: Future<Output = Vec<usize>> + Unpin,
{
    let (gates, keys) = gates(order.len());
    let (bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    let mut joined = join(gates);
    for &next in order {
        assert!(Pin::new(&mut joined).poll(&mut cx).is_pending());
        keys[next].open();
        assert_eq!(bell.rung(), 1);
    }
    assert_eq!(Pin::new(&mut joined).poll(&mut cx), Poll::Ready((0..order.len()).collect()));
    polls(&keys)
}

/// First to last, last to first, and at random.
fn orders(n: usize) -> [Vec<usize>; 3] {
    let mut shuffled = (0..n).collect::<Vec<_>>();
    let mut random = Random(7);
    (1..n).for_each(|at| shuffled.swap(at, random.below(at as u32 + 1) as usize));
    [(0..n).collect(), (0..n).rev().collect(), shuffled]
}

/// Writes down who is polled.
async fn noted<T>(log: &RefCell<Vec<u8>>, name: u8, child: impl Future<Output = T>) -> T {
    let mut child = pin!(child);
    poll_fn(|cx| {
        log.borrow_mut().push(name);
        child.as_mut().poll(cx)
    })
    .await
}

/// Polls to the end: the output, how many polls that took, and what was written down meanwhile.
fn run<T>(log: &RefCell<Vec<u8>>, future: impl Future<Output = T>) -> (T, (u32, Vec<u8>)) {
    let (bell, waker) = Bell::new();
    let mut future = pin!(future);
    for polls in 1.. {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, (polls, log.take()));
        }
        assert!(bell.rung() > 0, "pending, and not woken");
    }
    unreachable!("it ends")
}
