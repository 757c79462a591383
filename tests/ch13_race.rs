//! Layer 13, invariant by invariant.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::select as theirs;

use support::{Bell, DropToken, Drops, allocations, cloning, later, scaled, within};
use under_await::ch03_waker::waker_fn;
use under_await::ch05_handoff::oneshot;
use under_await::ch13_race::{once_around, random, seed};
use under_await::{CancelToken, Either, on_drop, race, select, yield_now};

#[allow(unused)]
mod support;

#[path = "../chapters/13-race/example.rs"]
#[allow(dead_code)]
mod example;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `future` to its end, with a time limit: what is wrong here is mostly never woken.
fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let (mut future, here) = (pin!(future.into_future()), thread::current());
    let waker = waker_fn(move || here.unpark());
    let deadline = Instant::now() + scaled(LIMIT);
    loop {
        if let Poll::Ready(output) = step(future.as_mut(), &waker) {
            return output;
        }
        assert!(Instant::now() < deadline, "not finished after {LIMIT:?}");
        thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Polls `future` once.
fn step<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Never ready, and counted when it is dropped.
async fn never<T>(_token: DropToken) -> T {
    pending().await
}

// ── race ─────────────────────────────────────────────────────────────────────────────────────

/// Invariant 1. Both are gone when the poll that found the winner returns.
#[test]
fn the_loser_of_a_race_is_gone_before_the_answer() {
    let drops = Drops::default();
    let mut left = pin!(race(async { drops.count() }, never::<()>(drops.token())));
    assert!(matches!(step(left.as_mut(), Waker::noop()), Poll::Ready(Either::Left(0))));
    assert_eq!(drops.count(), 1);
    let mut right = pin!(race(never::<()>(drops.token()), ready(drops.token())));
    let Poll::Ready(Either::Right(token)) = step(right.as_mut(), Waker::noop()) else { panic!() };
    assert_eq!(drops.count(), 2);
    drop(token);
    assert_eq!(drops.count(), 3);
}

/// Invariant 1.
#[test]
fn a_race_that_is_dropped_drops_both_once() {
    let drops = Drops::default();
    drop(race(never::<()>(drops.token()), never::<()>(drops.token())));
    assert_eq!(drops.count(), 2);
    let mut race = Box::pin(race(never::<()>(drops.token()), never::<()>(drops.token())));
    assert!(step(race.as_mut(), Waker::noop()).is_pending());
    drop(race);
    assert_eq!(drops.count(), 4);
}

/// Invariant 2. Each of the two can end the wait, also from another thread.
#[test]
fn either_side_ends_a_race() {
    within(LIMIT, || {
        let left = block_on(race(later(5), pending::<()>()));
        assert!(matches!(left, Either::Left("done")));
        let right = block_on(race(pending::<()>(), later(5)));
        assert!(matches!(right, Either::Right("done")));
    });
}

/// The first is asked first, and who comes after the winner is not asked.
#[test]
fn the_first_of_a_race_wins_when_both_are_ready() {
    let asked = Cell::new(false);
    let second = poll_fn(|_| {
        asked.set(true);
        Poll::Ready(2)
    });
    assert!(matches!(block_on(race(ready(1), second)), Either::Left(1)));
    assert!(!asked.get());
}

#[test]
fn a_race_polled_after_its_end_panics() {
    let mut race = pin!(race(ready(1), ready(2)));
    assert!(step(race.as_mut(), Waker::noop()).is_ready());
    let again = catch_unwind(AssertUnwindSafe(|| step(race.as_mut(), Waker::noop())));
    let message = *again.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(message, "`Race` polled after it was ready");
}

/// A panic in the loser's `Drop` is the winner's no more, and nobody is dropped twice.
#[test]
fn a_panic_in_a_losers_drop_leaves_the_race_over() {
    let drops = Drops::default();
    let panics = on_drop(|| panic!("in drop"));
    let loser = {
        let token = drops.token();
        async move {
            let (_token, _panics) = (token, panics);
            pending::<()>().await
        }
    };
    let mut race = Box::pin(race(
        poll_fn({
            let mut polls = 0;
            move |_| {
                polls += 1;
                if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
            }
        }),
        loser,
    ));
    assert!(step(race.as_mut(), Waker::noop()).is_pending());
    catch_unwind(AssertUnwindSafe(|| step(race.as_mut(), Waker::noop()))).unwrap_err();
    drop(race);
    assert_eq!(drops.count(), 1);
}

/// The same, step by step, as futures' `select`, which gives the loser back; in every order of up to
/// three polls for each side.
#[test]
fn a_race_is_won_as_by_futures() {
    fn after(polls: u32, name: &'static str) -> impl Future<Output = &'static str> + Unpin {
        let mut left = polls;
        poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            left = left.checked_sub(1).ok_or(()).map_or(u32::MAX, |left| left);
            if left == u32::MAX { Poll::Ready(name) } else { Poll::Pending }
        })
    }
    for (a, b) in (0..4).flat_map(|a| (0..4).map(move |b| (a, b))) {
        let ours = block_on(race(after(a, "a"), after(b, "b"))).into_inner();
        let (theirs, _) = block_on(theirs(after(a, "a"), after(b, "b"))).factor_first();
        assert_eq!(ours, theirs, "after {a} and {b} polls");
    }
}

// ── select! ──────────────────────────────────────────────────────────────────────────────────

/// Invariant 1. Each position wins; when its expression runs, the others have been dropped, once.
#[test]
fn the_losers_of_a_select_are_gone_before_the_expression() {
    for winner in 0..4 {
        let drops = Drops::default();
        let branch = |n: usize| {
            let token = drops.token();
            async move { if n == winner { drop(token) } else { never(token).await } }
        };
        let seen = block_on(async {
            select! {
                () = branch(0) => (0, drops.count()),
                () = branch(1) => { (1, drops.count()) }
                () = branch(2) => (2, drops.count()),
                () = branch(3) => (3, drops.count()),
            }
        });
        assert_eq!(seen, (winner, 4));
        assert_eq!(drops.count(), 4);
    }
}

/// Invariant 1. What the futures borrow is free again, and so are the temporaries: a guard that
/// stands in a branch is not held while the expression runs.
#[test]
#[allow(clippy::await_holding_lock)] // It is held while the futures race, and no longer: see below.
fn an_expression_may_use_what_the_futures_borrowed() {
    block_on(async {
        let mut text = String::from("a");
        let (cell, mutex) = (RefCell::new(1), Mutex::new(5));
        let length = select! {
            biased;
            () = add(&mut text, false) => unreachable!(),
            n = async { *cell.borrow_mut() += 1; 7 } => {
                text.push('b');
                *cell.borrow_mut() += n;
                text.len()
            }
        };
        assert_eq!((length, *cell.borrow()), (2, 9));
        let locked = select! {
            biased;
            n = ready(*mutex.lock().unwrap()) => { *mutex.lock().unwrap() += n; n },
            _ = add(&mut String::from("a temporary"), true) => 0,
        };
        assert_eq!((locked, *mutex.lock().unwrap()), (5, 10));
    });

    async fn add(text: &mut String, at_once: bool) {
        if !at_once {
            pending::<()>().await;
        }
        text.push('!');
    }
}

/// `break`, `continue`, `return`, `?` and `.await` in an expression are those of the function around.
#[test]
fn an_expression_belongs_to_the_function_around_it() {
    async fn counted(limit: u32) -> Result<u32, String> {
        let mut n = 0;
        let last = loop {
            select! {
                m = ready(n) => {
                    n = m + 1;
                    yield_now().await;
                    if n < limit { continue }
                    if limit == 7 { return Ok(70) }
                    if limit == 8 { Err("eight")? }
                    break n
                }
                () = pending() => unreachable!(),
            }
        };
        Ok(last + 100)
    }
    assert_eq!(block_on(counted(3)), Ok(103));
    assert_eq!(block_on(counted(7)), Ok(70));
    assert_eq!(block_on(counted(8)), Err("eight".to_owned()));
}

/// A future that is pinned before the loop goes on in the next turn.
#[test]
fn a_pinned_future_goes_on_in_the_next_turn() {
    let (begun, turns) = (Cell::new(0), Cell::new(0));
    let output = block_on(async {
        let mut work = pin!(async {
            begun.set(begun.get() + 1);
            for _ in 0..5 {
                yield_now().await;
            }
            "done"
        });
        loop {
            select! {
                biased;
                output = &mut work => break output,
                () = ready(()) => turns.set(turns.get() + 1),
            }
        }
    });
    assert_eq!((output, begun.get(), turns.get()), ("done", 1, 5));
}

/// A condition keeps a future that is done from being polled again.
#[test]
fn a_condition_keeps_who_is_done_out() {
    let got = block_on(async {
        let (mut a, mut b) = (pin!(async { "a" }), pin!(async { "b" }));
        let (mut a_done, mut b_done, mut got) = (false, false, BTreeSet::new());
        loop {
            select! {
                output = &mut a, if !a_done => { a_done = true; got.insert(output); }
                output = &mut b, if !b_done => { b_done = true; got.insert(output); }
                else => break got,
            }
        }
    });
    assert_eq!(got, BTreeSet::from(["a", "b"]));
}

/// Conditions are asked before the futures are made, and so may look at what these borrow.
#[test]
fn conditions_come_before_futures() {
    let mut words = vec!["one"];
    let answer = block_on(async {
        select! {
            word = ready(words.pop()), if !words.is_empty() => word,
            _ = pending::<()>(), if words.len() > 1 => None,
        }
    });
    assert_eq!(answer, Some("one"));
}

/// An output that does not fit puts its branch out; it is dropped, and the others go on.
#[test]
fn what_does_not_fit_is_out() {
    let drops = Drops::default();
    block_on(async {
        let answer = select! {
            biased;
            Some((_token, 1)) = ready(Some((drops.token(), 2))) => "the first",
            Ok(_) = ready(Err::<(), DropToken>(drops.token())) => "the second",
            n @ 5..=9 = async { yield_now().await; 7 } => ["the third"][n - 7],
            else => "none",
        };
        assert_eq!(answer, "the third");
        assert_eq!(drops.count(), 2);
        let none =
            select! { 1 = ready(2) => "one", Some(()) = ready(None) => "two", else => "none" };
        assert_eq!(none, "none");
    });
}

/// All branches are out, for there are none.
#[test]
fn an_else_alone_is_its_expression() {
    block_on(async {
        assert_eq!(select! { else => 1 }, 1);
        assert_eq!(select! { biased; else => async { 2 }.await, }, 2);
    });
}

#[test]
fn without_an_else_it_is_a_panic_when_all_are_out() {
    let out = catch_unwind(|| {
        block_on(async {
            select! { 1 = ready(2) => (), () = pending(), if false => () }
        })
    });
    let message = *out.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(message, "all branches are out, and there is no `else`");
}

/// Every kind of pattern that a `let` takes.
#[test]
fn patterns_are_those_of_a_match() {
    struct Point {
        x: i32,
        y: i32,
    }
    const SEVEN: i32 = 7;
    block_on(async {
        let text = || ready(String::from("text"));
        assert_eq!(select! { mut s = text() => { s.push('!'); s } }, "text!");
        assert_eq!(select! { ref s = text() => s.len() }, 4);
        assert_eq!(select! { ref mut s = text() => { s.clear(); s.len() } }, 0);
        assert_eq!(select! { &n = ready(&3) => n }, 3);
        assert_eq!(select! { (a, .., b) = ready((1, 2, 3)) => a + b }, 4);
        assert_eq!(select! { Point { x, y: 2 } = ready(Point { x: 1, y: 2 }) => x }, 1);
        assert_eq!(select! { Point { y, .. } = ready(Point { x: 1, y: 2 }) => y }, 2);
        assert_eq!(select! { SEVEN = ready(7) => 1, _ = ready(0), if false => 0 }, 1);
        assert_eq!(select! { Ok(n) | Err(n) = ready(Ok::<i32, i32>(5)) => n }, 5);
        assert_eq!(select! { [first, .., last] = ready([1, 2, 3]) => first * last }, 3);
        assert_eq!(
            select! { all @ Some(_) = ready(Some(String::new())) => all },
            Some(String::new())
        );
        assert_eq!(select! { _ = text() => 1 }, 1);
    });
}

/// The names that the macro uses are not those of its user, and the user's are not the macro's.
#[test]
fn names_do_not_meet() {
    let (open, start, future, output, fits, branches, n, cx, answer) = (1, 2, 3, 4, 5, 6, 7, 8, 9);
    let sum = block_on(async {
        select! {
            output = ready(output + open) => output + future + start + fits + branches + n + cx + answer,
            future = ready(future), if fits == 0 => future,
        }
    });
    assert_eq!(sum, 5 + 3 + 2 + 5 + 6 + 7 + 8 + 9);
}

/// From one branch to sixteen, and each of them can win.
#[test]
fn sixteen_branches_and_one() {
    assert_eq!(
        block_on(async {
            select! { n = ready(1) => n }
        }),
        1
    );
    for winner in 0..16 {
        let branch = |n: u32| async move { if n == winner { n } else { pending().await } };
        let won = block_on(async {
            select! {
                n = branch(0) => n, n = branch(1) => n, n = branch(2) => n, n = branch(3) => n,
                n = branch(4) => n, n = branch(5) => n, n = branch(6) => n, n = branch(7) => n,
                n = branch(8) => n, n = branch(9) => n, n = branch(10) => n, n = branch(11) => n,
                n = branch(12) => n, n = branch(13) => n, n = branch(14) => n, n = branch(15) => n
            }
        });
        assert_eq!(won, winner);
    }
}

/// A block needs no comma, an expression does, the last one may have one; and a macro of the user's
/// may stand in the place of a future or an expression.
#[test]
fn commas_are_as_in_a_match() {
    let is_pending = || pending::<i32>();
    block_on(async {
        let a = select! { n = ready(1) => { n } m = is_pending() => m };
        let b = select! { n = ready(1) => { n }, m = is_pending() => { m }, };
        let c = select! { m = is_pending() => m, n = ready(1) => { n } };
        let d = select! { m = is_pending() => m, n = ready(vec![1].remove(0)) => vec![n].len() as i32, };
        let e = select! { n = ready(1) => match n { 1 => 1, _ => 0 }, else => { 0 } };
        let f = select! { biased; n = ready(1) => if n == 1 { 1 } else { 0 }, else => 0, };
        assert_eq!([a, b, c, d, e, f], [1; 6]);
    });
}

/// Whatever `IntoFuture` makes a future of will do, and the whole is `Send` if its parts are.
#[test]
fn a_select_is_send_if_its_futures_are() {
    struct Request;
    impl IntoFuture for Request {
        type Output = u32;
        type IntoFuture = std::future::Ready<u32>;
        fn into_future(self) -> Self::IntoFuture {
            ready(200)
        }
    }
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    let status = is_send(async {
        select! { n = Request => n, () = yield_now() => 0, else => 1 }
    });
    assert!([0, 200].contains(&block_on(status)));
    let both = is_send(race(Request, yield_now()));
    assert!(matches!(block_on(both), Either::Left(200)));
}

/// Invariant 2. Everybody is asked at every poll, and anybody's waker ends the wait.
#[test]
fn every_branch_can_end_the_wait() {
    within(LIMIT, || {
        for n in 0..3 {
            let (mut senders, mut receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot()).unzip();
            let mut next = || receivers.remove(0);
            let (a, b, c) = (next(), next(), next());
            let waits = thread::spawn(move || {
                block_on(async {
                    select! {
                        Ok(name) = a => ("a", name),
                        Ok(name) = b => ("b", name),
                        Ok(name) = c => ("c", name),
                    }
                })
            });
            let name = ["a", "b", "c"][n];
            thread::sleep(Duration::from_millis(2));
            senders.remove(n).send(name).unwrap();
            assert_eq!(waits.join().unwrap(), (name, name));
        }
    });
}

/// Invariant 2. In the order of the branches, from `start` on, once around; and who is out is not
/// asked again.
#[test]
fn once_around_asks_who_is_open() {
    let ask = |open: &mut [bool], start, answers: &[Poll<bool>]| {
        let mut asked = Vec::new();
        let answer = once_around(open, start, |n| {
            asked.push(n);
            answers[n]
        });
        (asked, answer)
    };
    use Poll::{Pending, Ready};
    let all = &mut [true; 3];
    for (start, order) in
        [(0, [0, 1, 2]), (1, [1, 2, 0]), (2, [2, 0, 1]), (7, [1, 2, 0]), (u64::MAX, [0, 1, 2])]
    {
        assert_eq!(ask(all, start, &[Pending; 3]), (order.to_vec(), Pending), "from {start}");
    }
    assert_eq!(ask(all, 0, &[Pending, Ready(true), Pending]), (vec![0, 1], Ready(())));
    assert_eq!(ask(all, 0, &[Ready(false), Pending, Pending]), (vec![0, 1, 2], Pending));
    assert_eq!(*all, [false, true, true]);
    assert_eq!(ask(all, 0, &[Pending; 3]), (vec![1, 2], Pending));
    assert_eq!(ask(all, 2, &[Ready(true), Ready(false), Ready(false)]), (vec![2, 1], Ready(())));
    assert_eq!(ask(all, 1, &[Pending; 3]), (vec![], Ready(())));
}

/// Invariant 3. All ready, 10,000 times: each branch wins as often as any other, within three
/// standard deviations, for several seeds.
#[test]
fn chance_is_fair() {
    const TIMES: u32 = if cfg!(miri) { 100 } else { 10_000 };
    for first in [1, 2, 3, 0xfeed] {
        seed(first);
        let (mut two, mut three) = ([0; 2], [0; 3]);
        block_on(async {
            for _ in 0..TIMES {
                let ready = || ready(());
                two[select! { () = ready() => 0, () = ready() => 1 }] += 1;
                three[select! { () = ready() => 0, () = ready() => 1, () = ready() => 2 }] += 1;
            }
        });
        for (counts, parts) in [(&two[..], 2.0), (&three[..], 3.0)] {
            let (p, times) = (1.0 / parts, f64::from(TIMES));
            let sigma = (times * p * (1.0 - p)).sqrt();
            for count in counts {
                let off = (f64::from(*count) - times * p).abs() / sigma;
                assert!(off <= 3.0, "{counts:?} with the seed {first}: {off:.1} σ");
            }
        }
    }
}

/// Invariant 3. Where one of three is not ready, who stands behind it inherits its share: two thirds.
#[test]
fn who_stands_behind_an_absentee_gets_its_share() {
    const TIMES: u32 = if cfg!(miri) { 100 } else { 10_000 };
    seed(7);
    let mut wins = [0; 3];
    block_on(async {
        for _ in 0..TIMES {
            wins[select! { () = pending() => 0, () = ready(()) => 1, () = ready(()) => 2 }] += 1;
        }
    });
    let (p, times) = (2.0 / 3.0, f64::from(TIMES));
    let off = (f64::from(wins[1]) - times * p).abs() / (times * p * (1.0 - p)).sqrt();
    assert!(wins[0] == 0 && off <= 3.0, "{wins:?}: {off:.1} σ");
}

/// Invariant 3. The same seed, the same chance; another thread, another sequence.
#[test]
fn a_seed_decides() {
    let sequence = |first| {
        seed(first);
        (0..100).map(|_| random()).collect::<Vec<_>>()
    };
    assert_eq!(sequence(5), sequence(5));
    assert_ne!(sequence(5), sequence(6));
    assert_eq!(sequence(0).into_iter().collect::<BTreeSet<_>>().len(), 100);
    let fresh = || thread::spawn(random).join().unwrap();
    assert_ne!(fresh(), fresh());
}

/// Invariant 3. After `biased;` the branches are asked in the order in which they stand.
#[test]
fn biased_asks_in_order() {
    let asked = RefCell::new(Vec::new());
    let branch = |n: u32, is_ready: bool| {
        let asked = &asked;
        poll_fn(move |_| {
            asked.borrow_mut().push(n);
            if is_ready { Poll::Ready(n) } else { Poll::Pending }
        })
    };
    block_on(async {
        for _ in 0..100 {
            let won = select! {
                biased;
                n = branch(0, false) => n,
                n = branch(1, true) => n,
                n = branch(2, true) => n,
            };
            assert_eq!(won, 1);
        }
    });
    assert_eq!(*asked.borrow(), [0, 1].repeat(100));
}

/// What the chapter says `select!` becomes does what `select!` does: with the same seed, the same one
/// wins, after as many random numbers.
#[test]
fn by_hand_it_is_the_same() {
    let future = |polls: u64, name: &'static str| async move {
        for _ in 0..polls {
            yield_now().await;
        }
        name
    };
    for first in 0..if cfg!(miri) { 9 } else { 200 } {
        let futures = || (future(first % 3, "left"), future(first / 3 % 3, "right"));
        let (left, right) = futures();
        seed(first);
        let by_macro = block_on(async {
            select! { a = left => Ok(a), b = right => Err(b) }
        });
        let after = random();
        let (left, right) = futures();
        seed(first);
        assert_eq!((block_on(example::by_hand(left, right)), random()), (by_macro, after));
    }
}

/// A panic in a branch, or in an expression, drops every future once.
#[test]
fn a_panic_drops_everybody_once() {
    let drops = Drops::default();
    let in_a_branch = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            select! {
                biased;
                () = never(drops.token()) => (),
                () = async { panic!("in a branch") } => (),
                () = never(drops.token()) => (),
            }
        })
    }));
    assert_eq!((in_a_branch.is_err(), drops.count()), (true, 2));
    let in_an_expression = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            select! { () = never(drops.token()) => (), n = ready(1) => panic!("{n}") }
        })
    }));
    assert_eq!((in_an_expression.is_err(), drops.count()), (true, 3));
}

/// A task that is dropped in the middle of a `select!` drops its futures once.
#[test]
fn dropped_in_the_middle() {
    let drops = Drops::default();
    let mut task = Box::pin(async {
        select! { () = never(drops.token()) => (), () = never(drops.token()) => () }
    });
    for _ in 0..3 {
        assert!(step(task.as_mut(), Waker::noop()).is_pending());
    }
    assert_eq!(drops.count(), 0);
    drop(task);
    assert_eq!(drops.count(), 2);
}

#[test]
fn nothing_is_allocated() {
    random(); // The first number of a thread asks std for keys.
    let count = allocations(|| {
        let mut task = pin!(async {
            for _ in 0..100 {
                let n = select! {
                    n = async { yield_now().await; 1 } => n,
                    n = pending::<u32>() => n,
                    Some(n) = ready(None) => n,
                };
                let Either::Right(m) = race(pending::<()>(), async {
                    yield_now().await;
                    n
                })
                .await
                else {
                    unreachable!()
                };
                assert_eq!(m, 1);
            }
        });
        while step(task.as_mut(), Waker::noop()).is_pending() {}
    });
    assert_eq!(count, 0);
}

// ── CancelToken ──────────────────────────────────────────────────────────────────────────────

/// How many clones of its waker there are, besides the one that came with the bell.
fn owners(bell: &Arc<Bell>) -> usize {
    Arc::strong_count(bell) - 2
}

/// One `cancel` ends every wait, on whichever thread.
#[test]
fn one_cancel_ends_every_wait() {
    within(LIMIT, || {
        let token = CancelToken::new();
        let waits = (0..8).map(|_| {
            let token = token.clone();
            thread::spawn(move || {
                block_on(async {
                    select! { () = token.cancelled() => true, () = pending() => false }
                })
            })
        });
        let waits = waits.collect::<Vec<_>>();
        thread::sleep(Duration::from_millis(5));
        assert!(!token.is_cancelled());
        token.cancel();
        token.cancel();
        assert!(token.is_cancelled());
        assert!(waits.into_iter().all(|wait| wait.join().unwrap()));
        block_on(token.cancelled());
    });
}

/// Invariant 4. One entry however often it is polled, the newest waker in it, and none at the end.
#[test]
fn a_waiter_has_one_entry_and_leaves_none() {
    let token = CancelToken::new();
    let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
    let mut first = pin!(token.cancelled());
    let mut second = Box::pin(token.cancelled());
    for _ in 0..if cfg!(miri) { 20 } else { 1000 } {
        assert!(step(first.as_mut(), &waker_a).is_pending());
        assert!(step(second.as_mut(), &waker_a).is_pending());
    }
    assert_eq!(owners(&a), 2);
    assert!(step(second.as_mut(), &waker_b).is_pending());
    assert_eq!((owners(&a), owners(&b)), (1, 1));
    drop(second);
    assert_eq!((owners(&a), owners(&b)), (1, 0));
    token.cancel();
    assert_eq!((a.rung(), b.rung(), owners(&a)), (1, 0, 0));
    assert!(step(first.as_mut(), &waker_b).is_ready());
    assert!(step(first, &waker_b).is_ready());
    assert_eq!(owners(&b), 0);
}

/// Invariant 4. In no order of coming and going does one take the place of another.
#[test]
fn they_come_and_go_and_each_has_a_place() {
    let (token, mut waiting) = (CancelToken::new(), Vec::new());
    seed(13);
    for _ in 0..if cfg!(miri) { 100 } else { 10_000 } {
        if random() % 5 < 3 {
            let (bell, waker) = Bell::new();
            let mut wait = Box::pin(token.cancelled());
            assert!(step(wait.as_mut(), &waker).is_pending());
            waiting.push((wait, bell, waker));
        } else if !waiting.is_empty() {
            let n = random() as usize % waiting.len();
            let (wait, bell, _waker) = waiting.swap_remove(n);
            drop(wait);
            assert_eq!((bell.rung(), owners(&bell)), (0, 0));
        }
    }
    assert!(waiting.iter().all(|(_, bell, _)| owners(bell) == 1));
    token.cancel();
    assert!(waiting.iter().all(|(_, bell, _)| bell.rung() == 1 && owners(bell) == 0));
}

/// While the lock is held, nobody's code runs: not a wake, not a clone, not a drop.
#[test]
fn a_waker_may_use_the_token() {
    within(LIMIT, || {
        let token = CancelToken::new();
        let uses = |token: &CancelToken| {
            let token = token.clone();
            move || {
                let _ = token.is_cancelled();
                let _ = step(pin!(token.cancelled()), Waker::noop());
            }
        };
        let mut wait = Box::pin(token.cancelled());
        assert!(step(wait.as_mut(), &cloning(uses(&token)).1).is_pending());
        // Its waker is the last one of a task that owns something.
        let at_drop = on_drop(uses(&token));
        let owner = waker_fn(move || {
            let _ = &at_drop;
        });
        assert!(step(wait.as_mut(), &owner).is_pending());
        drop(owner);
        assert!(step(wait.as_mut(), &waker_fn(uses(&token))).is_pending());
        let at_drop = on_drop(uses(&token));
        let mut other = Box::pin(token.cancelled());
        let owner = waker_fn(move || {
            let _ = &at_drop;
        });
        assert!(step(other.as_mut(), &owner).is_pending());
        drop(owner);
        drop(other);
        token.cancel();
        assert!(step(wait.as_mut(), Waker::noop()).is_ready());
    });
}

/// Three wait for a token, and the waker of the first panics: the others are woken all the same.
#[test]
#[cfg_attr(miri, ignore = "what a panic carries is leaked on purpose")]
fn a_panic_in_a_waker_keeps_no_other_from_hearing_of_it() {
    let token = CancelToken::new();
    let mut broken = Box::pin(token.cancelled());
    assert!(step(broken.as_mut(), &waker_fn(|| panic!("in a waker"))).is_pending());
    let (bell, waker) = Bell::new();
    let mut others = [token.cancelled(), token.cancelled()];
    assert!(others.iter_mut().all(|other| step(Pin::new(other), &waker).is_pending()));
    token.cancel();
    assert_eq!((bell.rung(), owners(&bell)), (2, 0));
    assert!(step(broken.as_mut(), Waker::noop()).is_ready());
}

/// A wait that begins while another thread cancels is not forgotten.
#[test]
fn cancelled_at_the_same_moment() {
    within(LIMIT, || {
        for round in 0..if cfg!(miri) { 20 } else { 20_000_u32 } {
            let token = CancelToken::new();
            let theirs = token.clone();
            let other = thread::spawn(move || {
                (0..round % 64 * 4).for_each(|_| std::hint::spin_loop());
                theirs.cancel();
            });
            block_on(token.cancelled());
            other.join().unwrap();
        }
    });
}

// ── on_drop ──────────────────────────────────────────────────────────────────────────────────

/// At the end, at a panic, and when the future is dropped half-way: once each.
#[test]
fn a_guard_calls_once_however_it_ends() {
    let count = Cell::new(0);
    let guarded = async |future: Pin<&mut dyn Future<Output = ()>>| {
        let _guard = on_drop(|| count.set(count.get() + 1));
        future.await;
    };
    block_on(guarded(pin!(ready(()))));
    assert_eq!(count.get(), 1);
    block_on(race(guarded(pin!(pending())), yield_now()));
    assert_eq!(count.get(), 2);
    let panicked = catch_unwind(AssertUnwindSafe(|| block_on(guarded(pin!(async { panic!() })))));
    assert_eq!((panicked.is_err(), count.get()), (true, 3));
    drop(guarded(pin!(pending())));
    assert_eq!(count.get(), 3, "who was never polled has no guard yet");
}

// ── What is lost when a future is dropped half-way ───────────────────────────────────────────

/// The table of the chapter, row by row: each future is dropped after 0, 1, 2, 3 and 4 polls and begun
/// anew, on both backends of the reactor.
#[cfg(all(unix, not(miri)))]
mod cuts {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::support::cuts::{ROWS, row};
    use super::{LIMIT, support};

    macro_rules! rows {
        ($($test:ident: $($row:literal)+;)+) => {
            $(#[test] fn $test() {
                support::on_both(LIMIT, |backend| {
                    for row in [$($row),+].map(row) {
                        let (lost, seen) = row.measure();
                        assert_eq!(lost, row.loss, "{} on {backend}: {seen:?}", row.name);
                    }
                });
            })+

            #[test]
            fn no_row_is_forgotten() {
                let tested = [$($($row),+),+];
                assert!(ROWS.iter().map(|row| row.name).eq(tested));
            }
        };
    }

    rows! {
        accepting: "Accept" "Incoming" "Connect";
        readiness: "Readable" "ReadyTo";
        reading: "Read" "ReadExact" "ReadLine";
        writing: "Write" "WriteAll";
        datagrams: "RecvFrom" "Recv" "SendTo" "Send";
        a_oneshot: "BorrowedReceiver" "Receiver";
        a_task: "BorrowedHandle" "Handle";
        timers: "Tick" "Sleep" "SleepUntil";
        a_token: "Cancelled";
        a_timeout_is_as_safe_as_what_it_limits: "Timeout" "TimeoutOfReadExact";
        a_race_is_as_safe_as_its_sides: "Race" "RaceOfReadExact" "Select" "SelectOfReadExact";
        a_join_takes_the_outputs_along: "Join" "TryJoin" "JoinAll" "TryJoinAll";
        the_budget: "Spend";
    }

    /// Whose docs say something about cancel safety, and the rows in which that is tried.
    const SAID: &[(&str, &[&str])] = &[
        ("budget::spend", &["Spend"]),
        ("ch07_select::readable", &["Readable"]),
        ("ch08_poll::ready_to", &["ReadyTo"]),
        ("ch09_timer::sleep", &["Sleep"]),
        ("ch09_timer::sleep_until", &["SleepUntil"]),
        ("ch09_timer::tick", &["Tick"]),
        ("ch09_timer::timeout", &["Timeout", "TimeoutOfReadExact"]),
        ("ch10_net::UdpSocket", &["RecvFrom", "Recv", "SendTo", "Send"]),
        ("ch10_net::accept", &["Accept", "Incoming"]),
        ("ch10_net::io", &["Connect", "RecvFrom", "Recv", "SendTo", "Send"]),
        ("ch11_task::JoinHandle", &["BorrowedHandle"]),
        ("ch12_join::join", &["Join"]),
        ("ch12_join::join_all", &["JoinAll"]),
        ("ch12_join::try_join", &["TryJoin"]),
        ("ch12_join::try_join_all", &["TryJoinAll"]),
        ("ch13_race::cancelled", &["Cancelled"]),
        ("ch13_race::race", &["Race", "RaceOfReadExact"]),
        ("ch13_race::select", &["Select", "SelectOfReadExact"]),
    ];

    /// What the docs of the layers say of cancel safety is tried in a row of the table, and is what
    /// happens there. What the layers from 14 on say has tests of its own.
    #[test]
    fn every_promise_has_a_row() {
        let mut said = BTreeSet::new();
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
            let path = file.unwrap().path();
            let layer = path.file_stem().unwrap().to_str().unwrap();
            if layer.starts_with("ch") && layer >= "ch14" {
                continue;
            }
            for (name, docs) in promises(&fs::read_to_string(&path).unwrap()) {
                let name = format!("{layer}::{name}");
                let rows = SAID.iter().find(|(known, _)| *known == name);
                let (_, rows) = rows.unwrap_or_else(|| panic!("{name} has no row: {docs}"));
                let losses = rows.iter().map(|name| row(name).loss == "Nothing");
                let wanted: &[bool] = match () {
                    () if docs.contains("Not cancel safe") => &[false],
                    () if docs.contains("ancel safe if") => &[true, false],
                    // Without a trace, but not without a loss: the time that had passed.
                    () if name == "ch09_timer::sleep" => &[false],
                    () => &[true],
                };
                assert!(
                    losses.collect::<BTreeSet<_>>().iter().eq(BTreeSet::from_iter(wanted)),
                    "{name}: {docs}"
                );
                said.insert(name);
            }
        }
        assert!(SAID.iter().map(|(name, _)| *name).eq(said), "and no more is said");
    }

    /// The items whose docs speak of cancel safety, with these docs.
    fn promises(source: &str) -> Vec<(String, String)> {
        let (mut found, mut docs) = (Vec::new(), String::new());
        for line in source.lines().map(str::trim) {
            if let Some(line) = line.strip_prefix("///") {
                docs += line;
            } else if !line.starts_with("//") && !line.starts_with("#[") {
                let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
                let words =
                    words.skip_while(|word| !["fn", "struct", "macro_rules"].contains(word));
                let name = words.skip(1).find(|word| !word.is_empty());
                if docs.contains("ancel safe") {
                    let name = name.expect("docs stand before an item").trim_start_matches("__");
                    found.push((name.to_owned(), docs.clone()));
                }
                docs.clear();
            }
        }
        found
    }
}
