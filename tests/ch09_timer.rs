//! Layer 9: timers. Every test runs in processes of its own, one for each backend of the reactor,
//! so that it may count the processor's time, send signals and choose the backend.

#![cfg(all(unix, not(miri)))] // Starts processes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn, ready};
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{Either, join, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt};

use support::{
    Bell, DropToken, Drops, Event, cloning, in_a_process, interruptions, later, ledger, self_wakes,
};
use under_await::ch09_timer::{
    Elapsed, Key, Sleep, Timers, block_on, interval, pending_timers, sleep, sleep_until, timeout,
    wait,
};
use under_await::sys;

#[allow(unused)]
mod support;

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Tests, each run on both backends.
macro_rules! on_both_backends {
    ($( $(#[$attribute:meta])* fn $name:ident() $body:block )*) => {
        $( $(#[$attribute])* #[test] fn $name() { on_both_backends(stringify!($name), || $body); } )*
    };
}

fn on_both_backends(test: &str, body: fn()) {
    for backend in ["poll", "select"] {
        in_a_process(test, LIMIT, Some(backend), body);
    }
}

/// So many milliseconds.
fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Polls `future` once.
fn step<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// How often the thread has waited in the kernel.
fn waits() -> u64 {
    ledger().count(Event::Call("poll")) + ledger().count(Event::Call("select"))
}

/// The next number of a sequence that looks like chance (xorshift64, Marsaglia 2003).
fn chance(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

thread_local! {
    /// What a [`Meddler`] does when it is woken.
    static MEDDLE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that runs code of the test's, once.
struct Meddler;

impl Meddler {
    /// A waker that runs `meddle`.
    fn waker(meddle: impl FnOnce() + 'static) -> Waker {
        MEDDLE.set(Some(Box::new(meddle)));
        Arc::new(Meddler).into()
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if let Some(meddle) = MEDDLE.take() {
            meddle();
        }
    }
}

on_both_backends! {
    /// Invariants 1, 2 and 3. All of one thread, in no order, some with the same deadline.
    fn ten_thousand_sleeps_end_in_order_and_none_early() {
        let (start, mut seed) = (Instant::now(), 9);
        let deadlines = (0..10_000).map(|_| start + Duration::from_micros(chance(&mut seed) % 300_000));
        let (most, waited) = (Cell::new(0), RefCell::new(Vec::new()));
        let sleeps = deadlines.collect::<Vec<_>>().into_iter().map(async |deadline| {
            let (mut sleep, mut polls) = (sleep_until(deadline), 0);
            poll_fn(|cx| {
                polls += 1;
                let answer = Pin::new(&mut sleep).poll(cx);
                most.set(pending_timers().max(most.get()));
                answer
            })
            .await;
            assert!(Instant::now() >= deadline, "early");
            // Those that were due at their first poll did not wait in line.
            if polls > 1 {
                waited.borrow_mut().push(deadline);
            }
            assert!(polls <= 2);
        });
        assert_eq!(block_on(join_all(sleeps)).len(), 10_000);
        assert!(waited.borrow().is_sorted());
        assert!((1..=waited.borrow().len()).contains(&most.get()), "{} at most", most.get());
        assert_eq!(pending_timers(), 0);
    }

    /// Invariant 3.
    fn a_sleep_polled_ten_thousand_times_has_one_entry() {
        let mut sleep = sleep(DAY);
        for _ in 0..10_000 {
            assert!(step(&mut sleep, Waker::noop()).is_pending());
        }
        assert_eq!(pending_timers(), 1);
        drop(sleep);
        assert_eq!(pending_timers(), 0);
    }

    /// Invariant 3.
    fn dropped_timers_leave_the_map() {
        let mut sleeps = (0..1000).map(|n| sleep(DAY + ms(n * 7919 % 100))).collect::<Vec<_>>();
        assert_eq!(pending_timers(), 0, "before the first poll");
        sleeps.iter_mut().for_each(|sleep| assert!(step(sleep, Waker::noop()).is_pending()));
        let mut seed = 3;
        while let Some(last) = sleeps.len().checked_sub(1) {
            assert_eq!(pending_timers(), last + 1);
            drop(sleeps.swap_remove(chance(&mut seed) as usize % (last + 1)));
        }
        assert_eq!(pending_timers(), 0);
    }

    /// Invariant 3. Polled when it is over, but before anybody fired it, a sleep leaves the map.
    fn a_sleep_that_finds_itself_over_leaves_the_map() {
        let mut sleep = sleep(ms(50));
        assert!(step(&mut sleep, Waker::noop()).is_pending());
        thread::sleep(ms(60));
        assert!(step(&mut sleep, Waker::noop()).is_ready());
        assert_eq!(pending_timers(), 0);
        assert!(step(&mut sleep, Waker::noop()).is_ready(), "it stays over");
    }

    /// Invariant 3. The waker goes with the entry: when it fires, and when it is dropped.
    fn no_waker_is_kept() {
        struct Owner(#[allow(dead_code)] DropToken);
        impl Wake for Owner {
            fn wake(self: Arc<Self>) {}
        }
        let drops = Drops::default();
        let waker = || Waker::from(Arc::new(Owner(drops.token())));
        let mut fired = sleep(ms(50));
        assert!(step(&mut fired, &waker()).is_pending());
        block_on(sleep(ms(60)));
        assert_eq!(drops.count(), 1);
        let mut replaced = sleep(DAY);
        assert!(step(&mut replaced, &waker()).is_pending());
        assert!(step(&mut replaced, &waker()).is_pending());
        assert_eq!(drops.count(), 2, "the newest replaces the older one");
        drop(replaced);
        assert_eq!(drops.count(), 3);
    }

    /// Invariant 5. With truncated timeouts each of these takes hundreds of waits.
    fn timeouts_round_up() {
        let before = waits();
        block_on(async {
            for micros in [100, 300, 500, 700, 900, 1100, 1900, 2500, 3001, 3999].repeat(5) {
                let (start, time) = (Instant::now(), Duration::from_nanos(micros * 1000 + 1));
                sleep(time).await;
                assert!(start.elapsed() >= time);
            }
        });
        let waits = waits() - before;
        assert!((50..=250).contains(&waits), "{waits} waits for 50 sleeps");
    }

    /// Invariant 5. However many are due, one wait fires them all.
    fn a_thousand_that_are_due_take_one_wait() {
        let (bell, waker) = Bell::new();
        let deadline = Instant::now() + ms(20);
        let mut sleeps = (0..1000).map(|_| sleep_until(deadline)).collect::<Vec<_>>();
        sleeps.iter_mut().for_each(|sleep| assert!(step(sleep, &waker).is_pending()));
        thread::sleep(ms(30));
        wait(|| false).unwrap();
        assert_eq!((bell.rung(), waits()), (1000, 1));
    }

    /// Invariant 5. One second of nothing to do, also with a thousand timers to come.
    fn a_second_of_idling_costs_next_to_nothing() {
        for timers in [0, 1000] {
            let mut sleeps = (0..timers).map(|n| sleep(DAY + ms(n))).collect::<Vec<_>>();
            sleeps.iter_mut().for_each(|sleep| assert!(step(sleep, Waker::noop()).is_pending()));
            block_on(sleep(ms(1)));
            let (waited, busy) = (waits(), sys::cpu_time());
            block_on(sleep(ms(1000)));
            assert!(waits() - waited <= 5, "{} waits", waits() - waited);
            let busy = sys::cpu_time().zip(busy).map(|(now, then)| now - then).unwrap_or_default();
            assert!(busy <= ms(10), "{timers} timers more: a second of idling took {busy:?}");
        }
    }

    /// What is over is ready at the first poll: no entry, no wait.
    fn zero_and_the_past_are_ready_at_once() {
        block_on(async {});
        let before = waits();
        block_on(async {
            sleep(Duration::ZERO).await;
            sleep_until(Instant::now()).await;
            if let Some(past) = Instant::now().checked_sub(ms(1000)) {
                sleep_until(past).await;
            }
        });
        assert_eq!(waits(), before);
        assert_eq!(pending_timers(), 0);
    }

    /// 10,000 days do not fit into the timeout of any system call, and `Duration::MAX` not even
    /// into an `Instant`: the first waits in pieces, the second has no entry.
    fn the_far_future_is_no_trouble() {
        let before = waits();
        // 2^32 ms, cut off to the 32 bits of poll(2), would be 0.
        let wraps = ms(1 << 32);
        for far in [20 * DAY, 30 * DAY, wraps, 10_000 * DAY, 1_000_000 * DAY, Duration::MAX] {
            let mut sleep = pin!(sleep(far));
            // Ended by another thread, so that the far deadline is what bounds the wait.
            assert!(matches!(block_on(select(sleep.as_mut(), later(10))), Either::Right(_)));
            assert!(pending_timers() <= 1);
        }
        assert!(waits() - before <= 50, "{} waits", waits() - before);
        assert_eq!(pending_timers(), 0);
        block_on(async {
            assert_eq!(timeout(Duration::MAX, ready(1)).await, Ok(1));
            let mut days = interval(10_000 * DAY);
            days.tick().await;
            assert_eq!(timeout(ms(5), days.tick()).await, Err(Elapsed));
            let mut ages = interval(Duration::MAX);
            ages.tick().await;
            assert_eq!(timeout(ms(5), ages.tick()).await, Err(Elapsed));
        });
    }

    /// Rule 3 of the contract.
    fn the_newest_waker_wins() {
        let bells = [Bell::new(), Bell::new(), Bell::new()];
        let mut moved = sleep(ms(50));
        bells.iter().for_each(|(_, waker)| assert!(step(&mut moved, waker).is_pending()));
        block_on(sleep(ms(60)));
        assert_eq!(bells.map(|(bell, _)| bell.rung()), [0, 0, 1]);
    }

    /// Rule 3 of the contract.
    fn a_sleep_moved_to_another_task_after_its_first_poll_still_ends() {
        let mut moved = Box::pin(sleep(ms(50)));
        let first = block_on(poll_fn(|cx| Poll::Ready(moved.as_mut().poll(cx))));
        assert!(first.is_pending());
        // `join_all` gives each of its futures a waker of its own.
        block_on(join_all([moved, Box::pin(sleep(ms(1)))]));
    }

    /// Invariant 4. What the first waker drops is not woken, even if it was due just as well.
    fn a_waker_may_drop_timers_that_are_due() {
        let (bell, waker) = Bell::new();
        let deadline = Instant::now() + ms(50);
        let mut first = sleep_until(deadline);
        let mut others = (0..100).map(|_| sleep_until(deadline)).collect::<Vec<_>>();
        let others_waker = waker.clone();
        assert!(step(&mut first, &Meddler::waker(|| ())).is_pending());
        others.iter_mut().for_each(|other| assert!(step(other, &others_waker).is_pending()));
        let meddler = Meddler::waker(move || drop(others));
        assert!(step(&mut first, &meddler).is_pending());
        block_on(sleep(ms(60)));
        assert!(MEDDLE.take().is_none(), "the first one fired");
        assert_eq!(bell.rung(), 0);
        assert_eq!(pending_timers(), 0);
    }

    /// The map is free while a waker is dropped, too: that may be the end of a task with timers.
    fn a_waker_may_drop_timers_when_it_is_dropped() {
        struct Last;
        impl Wake for Last {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for Last {
            fn drop(&mut self) {
                MEDDLE.take().expect("set before")();
            }
        }
        let waker_with = |timer: Sleep| {
            MEDDLE.set(Some(Box::new(|| drop(timer))));
            Waker::from(Arc::new(Last))
        };
        for replaced in [true, false] {
            let [mut first, mut second] = [sleep(DAY), sleep(DAY)];
            assert!(step(&mut second, Waker::noop()).is_pending());
            assert!(step(&mut first, &waker_with(second)).is_pending());
            assert_eq!(pending_timers(), 2);
            if replaced {
                assert!(step(&mut first, Waker::noop()).is_pending());
                assert_eq!(pending_timers(), 1);
            }
            drop(first);
            assert_eq!(pending_timers(), 0);
        }
    }

    /// The map is free while a waker is cloned: that may run anybody's code as well.
    fn a_waker_may_use_timers_when_it_is_cloned() {
        let (shared, waker) = cloning(|| assert!(step(&mut sleep(DAY), Waker::noop()).is_pending()));
        let mut first = sleep(ms(20));
        assert!(step(&mut first, &waker).is_pending());
        block_on(sleep(ms(30)));
        assert_eq!(shared.wakes(), 1);
        assert_eq!(pending_timers(), 0);
    }

    /// The map is free while a waker runs: it may start timers, and run a `block_on` on them.
    fn a_waker_may_start_timers() {
        let started = Rc::new(RefCell::new(Vec::new()));
        let meddler = Meddler::waker({
            let started = started.clone();
            move || {
                for _ in 0..100 {
                    let mut sleep = sleep(ms(50));
                    assert!(step(&mut sleep, Waker::noop()).is_pending());
                    started.borrow_mut().push(sleep);
                }
                block_on(sleep(ms(1)));
            }
        });
        let mut first = sleep(ms(50));
        assert!(step(&mut first, &meddler).is_pending());
        while pending_timers() > 0 {
            block_on(sleep(ms(10)));
        }
        assert_eq!(started.borrow().len(), 100);
    }

    /// A waker that starts the next timer, and takes so long that it is due by then, keeps nobody
    /// else waiting: who is started while timers fire has the next turn.
    fn a_timer_that_starts_the_next_one_starves_nobody() {
        thread_local! {
            static STARTED: RefCell<Vec<Sleep>> = const { RefCell::new(Vec::new()) };
        }
        fn start_the_next() {
            let mut next = sleep(ms(10));
            assert!(step(&mut next, &Meddler::waker(start_the_next)).is_pending());
            STARTED.with_borrow_mut(|started| started.push(next));
            thread::sleep(ms(12));
        }
        start_the_next();
        block_on(sleep(ms(100)));
        assert!(STARTED.with_borrow(Vec::len) >= 3);
    }

    /// A panic in a waker keeps no other timer from being woken, and ends nobody's `block_on`.
    fn a_waker_that_panics_loses_nobody() {
        let mut first = sleep(ms(50));
        let meddler = Meddler::waker(|| panic!("expected by the test"));
        assert!(step(&mut first, &meddler).is_pending());
        let (bell, waker) = Bell::new();
        let mut others = (0..10).map(|_| sleep(ms(50))).collect::<Vec<_>>();
        others.iter_mut().for_each(|other| assert!(step(other, &waker).is_pending()));
        block_on(sleep(ms(100)));
        assert_eq!(bell.rung(), 10);
        assert_eq!(pending_timers(), 0);
    }

    /// A wake from another thread ends the wait, however far away the deadline is.
    fn other_threads_end_the_wait() {
        let mut far = pin!(sleep(DAY));
        for _ in 0..5 {
            assert!(matches!(block_on(select(far.as_mut(), later(5))), Either::Right(_)));
            assert!(matches!(block_on(select(far.as_mut(), self_wakes(3))), Either::Right(_)));
        }
        assert_eq!(pending_timers(), 1);
    }

    /// With something to do, `wait` looks and does not sleep: a wake that came before it is not lost.
    fn a_wait_while_awake_only_looks() {
        let (bell, waker) = Bell::new();
        let [mut far, mut due] = [sleep(DAY), sleep(ms(50))];
        assert!(step(&mut far, &waker).is_pending() && step(&mut due, &waker).is_pending());
        wait(|| true).unwrap();
        thread::sleep(ms(60));
        wait(|| true).unwrap();
        assert_eq!(bell.rung(), 1);
        assert_eq!(pending_timers(), 1);
    }

    /// A future that wakes itself at every poll keeps no sleep from its end, though nobody polls that
    /// meanwhile: `FuturesUnordered` polls whoever was woken.
    fn a_future_that_wakes_itself_starves_no_timer() {
        let over = Cell::new(false);
        let busy: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async {
            while !over.get() {
                self_wakes(1).await;
            }
        });
        let timer = Box::pin(async {
            sleep(ms(10)).await;
            over.set(true);
        });
        block_on([busy, timer].into_iter().collect::<FuturesUnordered<_>>().collect::<()>());
    }

    /// The inner `block_on` fires the timers of the outer one, and the outer one hears of it.
    fn nested() {
        let start = Instant::now();
        block_on(join(sleep(ms(5)), async {
            block_on(sleep(ms(20)));
            sleep(ms(5)).await;
        }));
        assert!(start.elapsed() >= ms(25));
        assert_eq!(pending_timers(), 0);
    }

    /// A signal ends the system call. It does not end a sleep, and loses none.
    fn signals_neither_end_a_sleep_nor_lose_it() {
        let stop = interruptions(u32::MAX);
        let before = waits();
        block_on(join_all([50, 100, 200].map(async |length| {
            let deadline = Instant::now() + ms(length);
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        })));
        assert!(waits() - before >= 5, "{} waits: were there signals?", waits() - before);
        stop();
        assert_eq!(pending_timers(), 0);
    }

    /// The same, wherever a signal or a report of readiness that is not there can come in.
    fn injected_faults_change_nothing() {
        for seed in 1..=5 {
            block_on(async {});
            sys::inject(Some(sys::Faults {
                seed,
                one_in: 2,
                errors: &[("poll", libc::EINTR), ("select", libc::EINTR)],
                short: true,
            }));
            let (start, ends) = (Instant::now(), RefCell::new(Vec::new()));
            block_on(join_all((0..200).map(async |n: u64| {
                let deadline = start + Duration::from_micros(1 + n * 7919 % 200 * 100);
                sleep_until(deadline).await;
                ends.borrow_mut().push((deadline, Instant::now()));
            })));
            sys::inject(None);
            let ends = ends.into_inner();
            assert_eq!(ends.len(), 200);
            assert!(ends.iter().all(|(deadline, end)| end >= deadline), "one was early");
            assert_eq!(pending_timers(), 0);
        }
    }

    /// What cannot be waited for is a panic that says so, and the timers are still there.
    fn an_error_of_the_system_call_is_no_silence() {
        block_on(async {});
        let faults = sys::Faults {
            seed: 1,
            one_in: 1,
            errors: &[("poll", libc::EINVAL), ("select", libc::EINVAL)],
            short: false,
        };
        let mut left = sleep(ms(50));
        sys::inject(Some(faults));
        let result = panic::catch_unwind(AssertUnwindSafe(|| block_on(&mut left)));
        sys::inject(None);
        assert!(result.is_err());
        assert_eq!(pending_timers(), 1);
        block_on(left);
    }

    /// A future that is ready wins, even if the time is over as well.
    fn a_ready_future_wins_over_an_elapsed_time() {
        assert_eq!(block_on(timeout(Duration::ZERO, ready(1))), Ok(1));
        let mut polls = 0;
        let mut late = timeout(
            ms(50),
            poll_fn(|_| {
                polls += 1;
                if polls == 1 { Poll::Pending } else { Poll::Ready("late, and ready") }
            }),
        );
        assert!(step(&mut late, Waker::noop()).is_pending());
        thread::sleep(ms(60));
        assert_eq!(block_on(late), Ok("late, and ready"));
    }

    /// A `Timeout` waits for both: for its future, whoever wakes it, and for the end of the time.
    fn a_timeout_ends_when_the_first_of_the_two_does() {
        assert_eq!(block_on(timeout(DAY, later(5))), Ok("done"));
        assert_eq!(pending_timers(), 0, "the time is not waited for any more");
        let start = Instant::now();
        assert_eq!(block_on(timeout(ms(10), pending::<()>())), Err(Elapsed));
        assert!(start.elapsed() >= ms(10));
        assert_eq!(block_on(timeout(ms(5), timeout(DAY, pending::<()>()))), Err(Elapsed));
        assert_eq!(block_on(timeout(DAY, timeout(ms(5), pending::<()>()))), Ok(Err(Elapsed)));
        assert_eq!(pending_timers(), 0);
    }

    /// The future inside a `Timeout` is dropped once: in time, too late, or not at all polled.
    fn a_timed_out_future_is_dropped_once() {
        let drops = Drops::default();
        let slow = |token: DropToken, length| async move {
            let _token = token;
            sleep(length).await;
        };
        assert_eq!(block_on(timeout(ms(5), slow(drops.token(), DAY))), Err(Elapsed));
        assert_eq!(drops.count(), 1);
        assert_eq!(block_on(timeout(DAY, slow(drops.token(), ms(5)))), Ok(()));
        assert_eq!(drops.count(), 2);
        drop(timeout(ms(5), slow(drops.token(), DAY)));
        assert_eq!(drops.count(), 3);
        let mut midway = Box::pin(timeout(DAY, slow(drops.token(), DAY)));
        assert!(step(&mut midway, Waker::noop()).is_pending());
        assert_eq!((drops.count(), pending_timers()), (3, 2));
        drop(midway);
        assert_eq!((drops.count(), pending_timers()), (4, 0));
    }

    /// The first tick comes at once, the others a period apart, however long each is worked on.
    fn an_interval_keeps_its_timetable() {
        let (start, period) = (Instant::now(), ms(10));
        block_on(async {
            let mut interval = interval(period);
            let first = interval.tick().await;
            assert!(start <= first && first <= Instant::now());
            for n in 1..10 {
                let due = interval.tick().await;
                assert_eq!(due, first + n * period);
                assert!(Instant::now() >= due);
                thread::sleep(ms(n as u64 % 3));
            }
        });
        assert_eq!(pending_timers(), 0);
    }

    /// No tick is lost: those that were missed come at once.
    fn missed_ticks_follow_at_once() {
        block_on(async {
            let mut interval = interval(ms(5));
            let first = interval.tick().await;
            thread::sleep(ms(52));
            let before = waits();
            for n in 1..=10 {
                assert_eq!(interval.tick().await, first + n * ms(5));
            }
            assert_eq!(waits(), before, "they were due already");
            let next = interval.tick().await;
            assert_eq!(next, first + 11 * ms(5));
            assert!(Instant::now() >= next);
        });
    }

    /// A `tick()` that is dropped has used up no tick.
    fn a_tick_that_is_dropped_is_not_lost() {
        block_on(async {
            let mut interval = interval(ms(200));
            let first = interval.tick().await;
            for _ in 0..3 {
                assert_eq!(timeout(ms(2), interval.tick()).await, Err(Elapsed));
                assert_eq!(pending_timers(), 0);
            }
            assert_eq!(interval.tick().await, first + ms(200));
        });
    }

    /// Its timers end with a thread. What outlives them there, in a thread-local that goes later,
    /// is dropped in peace; and the wakers in the map are dropped with it.
    fn the_timers_of_a_thread_end_with_it() {
        thread_local! {
            static KEPT: RefCell<Vec<Sleep>> = const { RefCell::new(Vec::new()) };
        }
        struct Owner(#[allow(dead_code)] DropToken);
        impl Wake for Owner {
            fn wake(self: Arc<Self>) {}
        }
        // Thread-locals end in no certain order, so each of the two is the first to be used once.
        for kept_first in [true, false] {
            let drops = Drops::default();
            let token = drops.token();
            let thread = thread::spawn(move || {
                if kept_first {
                    KEPT.with_borrow(|_| ());
                }
                let waker = Waker::from(Arc::new(Owner(token)));
                let mut sleeps = [sleep(DAY), sleep(DAY), sleep(Duration::MAX)];
                sleeps.iter_mut().for_each(|sleep| assert!(step(sleep, &waker).is_pending()));
                let [first, second, third] = sleeps;
                // One that nobody drops, and two that are dropped when the thread ends.
                std::mem::forget(first);
                KEPT.with_borrow_mut(|kept| kept.extend([second, third]));
            });
            thread.join().unwrap();
            assert_eq!(drops.count(), 1, "the last of its wakers has gone");
        }
        assert_eq!(pending_timers(), 0, "another thread has timers of its own");
    }
}

/// Invariants 1 and 2, without a clock: a map of timers is a list in the order of deadlines, and of
/// keys where those are the same.
#[test]
fn a_map_of_timers_is_a_list_in_order() {
    let (start, mut seed) = (Instant::now(), 42);
    let (mut timers, mut list) = (Timers::default(), BTreeSet::new());
    let mut now = start;
    for _ in 0..10_000 {
        match chance(&mut seed) % 4 {
            0 | 1 => {
                let deadline = now + ms(chance(&mut seed) % 20);
                let (key, (_, waker)) = (Key::new(deadline), Bell::new());
                assert!(timers.insert(key, waker).is_none());
                list.insert((deadline, key));
            }
            2 => {
                let nth = chance(&mut seed) as usize % (list.len() + 1);
                if let Some((deadline, key)) = list.iter().nth(nth).copied() {
                    assert!(timers.remove(key).is_some());
                    assert!(timers.remove(key).is_none());
                    list.remove(&(deadline, key));
                }
            }
            _ => {
                now += ms(chance(&mut seed) % 3);
                let later = list.iter().find(|(deadline, _)| *deadline > now).copied();
                let due = list.iter().filter(|(deadline, _)| *deadline <= now).count();
                for _ in 0..due {
                    assert_eq!(timers.timeout(now), Some(Duration::ZERO));
                    assert!(timers.pop_due(now).is_some());
                }
                assert!(timers.pop_due(now).is_none());
                list.retain(|(deadline, _)| *deadline > now);
                assert_eq!(timers.timeout(now), later.map(|(deadline, _)| deadline - now));
            }
        }
    }
}

/// The map is that of one thread, so a sleep must not get to another one; within its thread it may
/// be moved, even between two polls.
#[test]
fn a_sleep_is_unpin_and_not_send() {
    // For a type that is `Send` both impls apply, and the call below does not compile.
    trait Stays<Marker> {
        fn stays() {}
    }
    impl<T> Stays<()> for T {}
    impl<T: Send> Stays<u8> for T {}
    <Sleep as Stays<_>>::stays();
    fn moves<T: Unpin>() {}
    moves::<Sleep>();
}

#[test]
#[should_panic(expected = "an interval has a period longer than zero")]
fn an_interval_has_a_period() {
    let _ = interval(Duration::ZERO);
}

/// The names that users know.
#[test]
fn the_facade_has_the_names() {
    use under_await::time;
    let _: fn(Duration) -> time::Sleep = time::sleep;
    let _: fn(Instant) -> time::Sleep = time::sleep_until;
    let _: fn(Duration) -> time::Interval = time::interval;
    let error: &dyn std::error::Error = &time::Elapsed;
    assert_eq!(error.to_string(), "the time was over before the future was ready");
    under_await::block_on(async {
        assert_eq!(time::timeout(ms(1), time::sleep(DAY)).await, Err(time::Elapsed));
    });
}
