// The checks of chapter 13. `subject` is the code under examination.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::{pending, poll_fn, ready};
use std::io::{self, ErrorKind, Write};
use std::iter;
use std::mem;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::io::AsyncRead;
use under_await::ch04_park;
use under_await::ch05_handoff::oneshot;
use under_await::ch09_timer::{Elapsed, block_on, interval, pending_timers, sleep};
use under_await::ch10_net::TcpStream;
use under_await::ledger::watch;

use crate::support::cuts::{POLLS, SENT, cut, row, same_bytes};
use crate::support::net::pair;
use crate::support::schedules::{Actor, actor, every_order, point, wait_until};
use crate::support::{
    Bell, DropToken, Drops, Event, Ledger, allocations, checks, cloning, dropping, ensure, fail,
    if_it_sleeps, later, ledger, many, panics, scaled, times,
};

use subject::extend::{Loss, Messages, Operation, loss, timeout, with_heartbeat};
use subject::{CancelToken, Either, once_around, race, random, seed, select};

checks! {
    /// A race that answers `Pending` has asked both, once, and both have its waker.
    "13.1" fn both_have_the_waker() {
        let ((_a, receiver_a), (_b, receiver_b)) = (oneshot::<u32>(), oneshot::<u32>());
        let asked = [(); 2].map(|()| Cell::new(0));
        let (bell, waker) = Bell::new();
        let mut race = pin!(race(counted(&asked[0], receiver_a), counted(&asked[1], receiver_b)));
        let answer = step(race.as_mut(), &waker);
        ensure!(answer.is_pending(), "wrong-result", "Neither was ready, and it gave {answer:?}.");
        let owners = owners(&bell);
        ensure!(
            owners == 2,
            "never-woken",
            "Two futures wait, and of the waker they have kept {kept}. Needed are 2: each may be the first.",
            kept = many(owners, "clone")
        );
        let (asked, rung) = (asked.each_ref().map(Cell::get), bell.rung());
        ensure!(
            asked == [1, 1] && rung == 0,
            "busy-poll",
            "Neither was ready. In one poll of the race the two were polled {asked:?} times, and the \
             race woke itself {rung}. Needed are [1, 1] and 0: the two will wake it.", rung = times(rung)
        );
    }

    /// The first that is ready wins.
    "13.1" fn the_first_wins() {
        let left = ch04_park::block_on(watch("race", race(later(20), pending::<()>())));
        ensure!(
            matches!(left, Either::Left("done")),
            "wrong-result",
            "`a` was ready after 20 ms, `b` never; the race gave {left:?}."
        );
        let right = ch04_park::block_on(watch("race", race(pending::<()>(), later(20))));
        ensure!(
            matches!(right, Either::Right("done")),
            "wrong-result",
            "`b` was ready after 20 ms, `a` never; the race gave {right:?}."
        );
    }

    /// When both are ready the first one wins, and the second one is not asked.
    "13.1" fn nobody_is_asked_after_the_winner() {
        // Again and again, for nothing is left to chance here.
        for _ in 0..32 {
            let asked = Cell::new(0);
            let winner = step(pin!(race(ready("a"), counted(&asked, ready("b")))), Waker::noop());
            ensure!(
                matches!(winner, Poll::Ready(Either::Left("a"))),
                "wrong-result",
                "Both were ready, and the race gave {winner:?}; `a` is asked first."
            );
            ensure!(
                asked.get() == 0,
                "data-lost",
                "`a` was ready, and `b` was polled all the same. It was ready too, and \
                 nobody gets its output."
            );
        }
    }

    /// The loser is dropped before the answer is given, and once.
    "13.1" fn the_loser_is_dropped_first() {
        let (a, b) = (Drops::default(), Drops::default());
        loses(&a, race(ready(1), never(a.token())));
        loses(&b, race(never(b.token()), ready(2)));
    }

    /// After `Ready` there is no second answer: another poll panics.
    "13.1" fn a_race_is_run_once() {
        let mut race = pin!(race(ready(1), ready(2)));
        let first = step(race.as_mut(), Waker::noop());
        let mut second = Poll::Pending;
        let panic = panics(|| second = step(race.as_mut(), Waker::noop()));
        ensure!(
            panic.is_some(),
            "answered-twice",
            "The race gave {first:?}, was polled again, and gave {second:?}. A panic is needed."
        );
    }

    /// A race allocates nothing.
    "13.1" fn a_race_allocates_nothing() {
        let count = allocations(|| {
            let _ = step(pin!(race(pending::<()>(), ready(1))), Waker::noop());
        });
        ensure!(count == 0, "allocates", "One race made {count}.", count = many(count, "allocation"));
    }

    /// Every branch is asked, once around from where chance says.
    "13.2" fn all_are_asked_from_start() {
        let anywhere = [(7, [1, 2, 0]), (1 << 32, [1, 2, 0]), (u64::MAX - 1, [2, 0, 1])];
        for (start, wanted) in [(0, [0, 1, 2]), (1, [1, 2, 0]), (2, [2, 0, 1])].into_iter().chain(anywhere) {
            let (asked, answer) = around(&mut [true; 3], start, [Poll::Pending; 3]);
            ensure!(
                wanted.iter().all(|n| asked.contains(n)),
                "never-woken",
                "From {start}, of three branches {asked:?} were asked; {wanted:?} is needed. One \
                 that is not asked has no waker."
            );
            ensure!(
                asked.len() == 3,
                "busy-poll",
                "From {start}, three branches were asked in the order {asked:?}. Once each is needed: \
                 {wanted:?}. A branch that is pending will wake us."
            );
            ensure!(
                asked == wanted,
                "starves",
                "From {start}, three branches were asked in the order {asked:?}; {wanted:?} is needed. \
                 If all are ready, the first that is asked wins, and chance says where to begin."
            );
            ensure!(
                answer.is_pending(),
                "wrong-result",
                "Three branches were asked, all three are pending, and it answered {answer:?}."
            );
        }
    }

    /// With the winner the round ends.
    "13.2" fn the_round_ends_with_the_winner() {
        let answers = [Poll::Pending, Poll::Ready(true), Poll::Ready(true)];
        let (asked, answer) = around(&mut [true; 3], 0, answers);
        ensure!(
            answer.is_ready(),
            "wrong-result",
            "Branch 1 won, and the round answered {answer:?}; `Ready` is needed."
        );
        ensure!(
            asked == [0, 1],
            "data-lost",
            "Branch 1 won, and {asked:?} were asked. A branch after the winner may be ready \
             too, and nobody gets its output."
        );
    }

    /// A branch that is out is not asked again; when none is left, that is an answer.
    "13.2" fn who_is_out_is_not_asked_again() {
        let open = &mut [true, false, true];
        let (asked, answer) = around(open, 2, [Poll::Ready(false), Poll::Pending, Poll::Pending]);
        ensure!(
            asked == [2, 0] && answer.is_pending(),
            "wrong-result",
            "From 2: branch 2 was pending, branch 0 was ready and did not fit, branch 1 was not open. \
             Asked were {asked:?}, and the answer was {answer:?}; needed are [2, 0] and `Pending`."
        );
        let (asked, _) = around(open, 0, [Poll::Pending; 3]);
        ensure!(
            asked == [2],
            "polled-after-ready",
            "Branch 0 was ready and did not fit, and is out. In the next round {asked:?} were asked."
        );
        let (_, answer) = around(open, 0, [Poll::Pending, Poll::Pending, Poll::Ready(false)]);
        ensure!(
            answer.is_ready(),
            "never-woken",
            "The last branch is out, nobody has the waker, and the answer was {answer:?}."
        );
        let (asked, answer) = around(&mut [false; 3], 0, [Poll::Pending; 3]);
        ensure!(
            asked.is_empty() && answer.is_ready(),
            "never-woken",
            "No condition holds, so no branch is open. Asked were {asked:?}, and the answer was \
             {answer:?}; it is over before it begins."
        );
    }

    /// All ready, each branch wins as often as any other; with `biased;`, the first one always.
    "13.2" fn chance_is_fair() {
        seed(13);
        let (mut wins, mut biased) = ([0; 3], [0; 3]);
        for _ in 0..3000 {
            let (asked, _) = around(&mut [true; 3], random(), [Poll::Ready(true); 3]);
            wins[asked[0]] += 1;
        }
        ch04_park::block_on(async {
            for _ in 0..3000 {
                let at_once = || ready(());
                biased[select! {
                    biased; () = at_once() => 0, () = at_once() => 1, () = at_once() => 2
                }] += 1;
            }
        });
        ensure!(
            wins.iter().all(|wins| (800..1200).contains(wins)),
            "starves",
            "Three branches, all ready, 3000 times: they won {wins:?} times. About 1000 is fair."
        );
        ensure!(
            biased == [3000, 0, 0],
            "wrong-result",
            "After `biased;`, three branches, all ready, won {biased:?} times; the first always should."
        );
    }

    /// When the winner's expression runs, the losers have been dropped.
    "13.2" fn the_losers_are_dropped_before_the_expression() {
        let drops = Drops::default();
        let seen = ch04_park::block_on(async {
            select! {
                () = never(drops.token()) => 0,
                () = under_await::yield_now() => drops.count(),
                () = never(drops.token()) => 0,
            }
        });
        ensure!(
            seen == 2 && drops.count() == 2,
            "still-there",
            "One of three branches won. When its expression ran, {seen} of the 2 others had been \
             dropped, and in the end they were dropped {}.", times(drops.count())
        );
    }

    /// A waiter is woken by `cancel`, even from another thread; one that comes later does not wait.
    "13.3" fn cancel_ends_every_wait() {
        let token = CancelToken::new();
        let theirs = token.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            theirs.cancel();
        });
        ch04_park::block_on(watch("waiter", token.cancelled()));
        ensure!(token.is_cancelled(), "wrong-result", "It was ready before it was cancelled.");
        let late = step(pin!(token.cancelled()), Waker::noop());
        ensure!(
            late.is_ready(),
            "never-woken",
            "The token was cancelled before the first poll, which gave {late:?}."
        );
    }

    /// Polled with one waker twice or with another, a waiter has left the newest one.
    "13.3" fn keeps_the_newest_waker() {
        let token = CancelToken::new();
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        let mut wait = Box::pin(token.cancelled());
        let mut polls = String::new();
        for (name, waker, needed) in [
            ("A", &waker_a, (1, 0)),
            ("A", &waker_a, (1, 0)),
            ("B", &waker_b, (0, 1)),
            ("B", &waker_b, (0, 1)),
            ("A", &waker_a, (1, 0)),
        ] {
            let answer = step(wait.as_mut(), waker);
            ensure!(answer.is_pending(), "wrong-result", "It was ready before it was cancelled.");
            polls.push_str(name);
            let kept = (owners(&a), owners(&b));
            let seen = format!(
                "One waiter was polled with these wakers, one after the other: {polls}. Of A and B the \
                 token has {kept:?}; {needed:?} is needed"
            );
            ensure!(kept != (0, 0), "never-woken", "{seen}.");
            ensure!(kept.0 + kept.1 == 1, "piles-up", "{seen}.");
            ensure!(kept == needed, "old-waker", "{seen}.");
        }
        let woken = a.rung() + b.rung();
        ensure!(woken == 0, "busy-poll", "Polled 5 times, one waiter woke itself {}.", times(woken));
        token.cancel();
        let rung = (a.rung(), b.rung());
        ensure!(rung == (1, 0), "old-waker", "`cancel` woke A and B {rung:?} times; (1, 0) is needed.");
    }

    /// A waiter has one entry, with its newest waker in it, and an entry that is its own.
    "13.3" fn one_entry_for_each() {
        let token = CancelToken::new();
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        let (mut one, mut two) = (Box::pin(token.cancelled()), Box::pin(token.cancelled()));
        for _ in 0..100 {
            let _ = step(one.as_mut(), &waker_a);
            let _ = step(two.as_mut(), &waker_a);
        }
        let kept = owners(&a);
        ensure!(kept > 1, "never-woken", "Two futures wait, and the token has {}, not 2.", many(kept, "waker"));
        ensure!(kept == 2, "piles-up", "Polled 100 times, two waiters have left {kept} wakers, not 2.");
        let _ = step(two.as_mut(), &waker_b);
        token.cancel();
        let rung = (a.rung(), b.rung());
        ensure!(
            rung == (1, 1),
            "old-waker",
            "Two waited with waker A, and one of them was polled with waker B then. `cancel` woke A and \
             B {rung:?} times; (1, 1) is needed."
        );
        // It may be moved, and another one may stand where it has stood.
        let token = CancelToken::new();
        let mut place = token.cancelled();
        let _ = step(Pin::new(&mut place), &waker_a);
        let mut moved = mem::replace(&mut place, token.cancelled());
        let _ = step(Pin::new(&mut place), &waker_b);
        let _ = step(Pin::new(&mut moved), &waker_a);
        token.cancel();
        let rung = (a.rung(), b.rung());
        ensure!(
            rung == (1, 1),
            "lost-wake",
            "One waited with waker A and was moved, and another one stood in its place, with waker B. \
             `cancel` woke A and B {rung:?} times; (1, 1) is needed."
        );
    }

    /// A token that is cancelled while a future asks it is not overlooked.
    "13.3" fn cancelled_during_the_poll() {
        let token = CancelToken::new();
        let (started, canceller) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let (theirs, place) = (token.clone(), canceller.clone());
        // The clone of the waker is the one moment in a poll at which we are called.
        let (shared, waker) = cloning(move || {
            if started.swap(true, Ordering::SeqCst) {
                return;
            }
            let (token, (done, is_done)) = (theirs.clone(), mpsc::channel());
            let cancels = thread::spawn(move || {
                token.cancel();
                let _ = done.send(());
            });
            // Not at all before the poll is over, if the lock is held: that is right as well.
            let _ = is_done.recv_timeout(Duration::from_millis(100));
            *place.lock().unwrap() = Some(cancels);
        });
        let mut wait = Box::pin(token.cancelled());
        let answer = step(wait.as_mut(), &waker);
        let cancels = canceller.lock().unwrap().take();
        match cancels {
            Some(cancels) => cancels.join().unwrap(),
            None => token.cancel(),
        }
        ensure!(
            answer.is_ready() || shared.wakes() > 0,
            "lost-wake",
            "Another thread cancelled the token while the waker was being cloned. The poll gave {answer:?}, \
             and nobody was woken after it."
        );
    }

    /// Whatever comes in between of what: a future sleeps only if the token is going to wake it.
    "13.3" fn cancelled_in_every_order() {
        for moves in [false, true] {
            let orders = every_order(|| cancels(moves));
            let Some(order) = orders.example() else { continue };
            let seen = orders.tally("comes to no good end", "come to no good end");
            fail!(
                "lost-wake",
                "A future waits, and the token is cancelled. {seen}. One of them:\n\n{order}"
            );
        }
    }

    /// While a token is locked, no waker is dropped: that runs code that may use the token.
    "13.3" fn older_wakers_go_unlocked() {
        let token = CancelToken::new();
        let mut wait = Box::pin(token.cancelled());
        let owner = Arc::new(Owner { token: token.clone() });
        let _ = step(wait.as_mut(), &Waker::from(owner));
        let _ = step(wait.as_mut(), Waker::noop());
        token.cancel();
        // It waits no longer: a clone that was made all the same goes unlocked, too.
        let theirs = token.clone();
        let answer = step(wait.as_mut(), &dropping(move || asked(&theirs, UNNEEDED)));
        ensure!(answer.is_ready(), "stuck", "The token was cancelled, and the poll after that gave {answer:?}.");
    }

    /// A waiter that is dropped leaves nothing, and takes no other's place along.
    "13.3" fn who_is_dropped_leaves_nothing() {
        let token = CancelToken::new();
        let bells = [(); 4].map(|()| Bell::new());
        let mut waits = bells.each_ref().map(|(_, waker)| {
            let mut wait = Box::pin(token.cancelled());
            let _ = step(wait.as_mut(), waker);
            Some(wait)
        });
        for gone in [1, 3] {
            drop(waits[gone].take());
        }
        let kept = bells.each_ref().map(|(bell, _)| owners(bell));
        ensure!(
            kept == [1, 0, 1, 0],
            "piles-up",
            "Of four that waited, the second and the fourth were dropped. The token has {kept:?} of \
             their wakers; [1, 0, 1, 0] is needed."
        );
        // A newcomer must not get the place of one that is there.
        let (late, waker) = Bell::new();
        let mut wait = Box::pin(token.cancelled());
        let _ = step(wait.as_mut(), &waker);
        token.cancel();
        let (rung, last) = (bells.each_ref().map(|(bell, _)| bell.rung()), late.rung());
        ensure!(
            rung == [1, 0, 1, 0] && last == 1,
            "lost-wake",
            "Of four that waited, the second and the fourth were dropped, and one more came. `cancel` \
             woke the four {rung:?} times, and the last one {last}. Needed are [1, 0, 1, 0] and once.",
            last = times(last)
        );
    }

    /// In time or not, the answer says so, and no timer stays behind.
    "13.4" fn a_timeout_is_a_race() {
        with_a_reactor();
        let in_time = async {
            sleep(Duration::from_millis(5)).await;
            "done"
        };
        let answer = block_on(watch("in time", timeout(Duration::from_secs(60), in_time)));
        ensure!(answer == Ok("done"), "wrong-result", "5 ms of 60 s, and it gave {answer:?}.");
        let timers = pending_timers();
        ensure!(
            timers == 0,
            "piles-up",
            "The future was ready in time. Left over: {}. Its sleep should be dropped.", many(timers, "timer")
        );
        let drops = Drops::default();
        let slow = never(drops.token());
        if_it_sleeps(|| ("not-on-time", "The future is never ready, and its limit of 5 ms is over: nothing ends the wait."));
        let answer = block_on(watch("too slow", timeout(Duration::from_millis(5), slow)));
        ensure!(
            answer == Err(Elapsed) && drops.count() == 1,
            "wrong-result",
            "A future that is never ready, and 5 ms: it gave {answer:?}, and the future was dropped {} \
             times. Needed are `Err(Elapsed)` and 1.", drops.count()
        );
    }

    /// A future that is ready when the time is over has won.
    "13.4" fn ready_at_the_last_moment() {
        with_a_reactor();
        // Again and again, for nothing is left to chance here.
        for _ in 0..32 {
            let answer = block_on(timeout(Duration::ZERO, ready("done")));
            ensure!(
                answer == Ok("done"),
                "wrong-result",
                "The future was ready, and the time was over: it gave {answer:?}. One that is ready by then \
                 has won. The work is done, and nobody gets it."
            );
        }
    }

    /// The limit is that of the whole wait, however often the future wakes in between.
    "13.4" fn the_limit_is_the_limit() {
        with_a_reactor();
        let (limit, later) = (Duration::from_millis(40), Duration::from_millis(48));
        for _ in 0..3 {
            let restless = async {
                loop {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let start = Instant::now();
            // It is asked first, so it wins however late both of them are.
            let ends = under_await::race(timeout(limit, restless), async { sleep(later).await });
            let winner = block_on(ends);
            // How many calls it took is up to the machine, and not the story.
            Ledger::close();
            ensure!(
                matches!(winner, Either::Left(_)),
                "not-on-time",
                "A limit of 40 ms, and a future that wakes every 5 ms and is never ready: 48 ms after the \
                 first poll there was no answer."
            );
            let took = start.elapsed();
            ensure!(
                took >= limit,
                "too-early",
                "A limit of 40 ms, and it gave {winner:?} after {} ms.", took.as_millis()
            );
        }
    }

    /// However often the heart beats, the work is begun once, and its end is the end.
    "13.5" fn the_work_is_begun_once() {
        with_a_reactor();
        let (begun, beats) = (Cell::new(0), Cell::new(0));
        let work = async || {
            begun.set(begun.get() + 1);
            // Work that is begun again and again would never come to an end.
            let naps = if begun.get() < 5 { 4 } else { 0 };
            for _ in 0..naps {
                sleep(Duration::from_millis(15)).await;
            }
            "done"
        };
        let beat = || beats.set(beats.get() + 1);
        let start = Instant::now();
        let answer = block_on(watch("work", with_heartbeat(work, Duration::from_millis(10), beat)));
        let (begun, beats, took) = (begun.get(), beats.get(), start.elapsed().as_millis());
        ensure!(
            begun == 1,
            "lost-progress",
            "One piece of work, which takes some beats: it was begun {begun} times, not once."
        );
        ensure!(answer == "done", "wrong-result", "The work gave \"done\", and it gave {answer:?}.");
        ensure!(
            (3..=took / 10 + 1).contains(&beats),
            "not-on-time",
            "{took} ms of work, with a beat at once and then every 10 ms: it made {}. Needed: 3 or more, and \
             {} at most.", many(beats, "beat"), took / 10 + 1
        );
    }

    /// The heart beats at once, and not again before its time: whoever else is woken.
    "13.5" fn it_beats_at_once_and_in_its_time() {
        with_a_reactor();
        let beats = Cell::new(0);
        let work = async || {
            for _ in 0..4 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let beat = || beats.set(beats.get() + 1);
        block_on(watch("work", with_heartbeat(work, Duration::from_secs(60), beat)));
        let beats = beats.get();
        ensure!(
            beats == 1,
            "not-on-time",
            "A beat at once and then every 60 s, and work that sleeps four times for 5 ms: it made {}. \
             Needed: 1.", many(beats, "beat")
        );
    }

    /// Each beat is due one period after the one before it was due: how long a beat takes does not matter.
    "13.5" fn beats_do_not_drift() {
        with_a_reactor();
        const TICKS: u32 = 16;
        let period = Duration::from_millis(10);
        let beats = Cell::new(0);
        let work = async || {
            let mut ticks = interval(period);
            for _ in 0..TICKS {
                ticks.tick().await;
                // After a pause of the machine many ticks are due, and as many beats: one each, in turn.
                under_await::yield_now().await;
            }
        };
        let beat = || {
            beats.set(beats.get() + 1);
            thread::sleep(period / 2);
        };
        block_on(watch("work", with_heartbeat(work, period, beat)));
        let beats = beats.get();
        ensure!(
            beats + 2 >= TICKS,
            "not-on-time",
            "A beat every 10 ms that takes 5 ms, and work that counts the same 10 ms: in the time of \
             {TICKS} ticks it made {}. As many as ticks are needed, give or take one.", many(beats, "beat")
        );
    }

    /// Beats so slow that the next is always due still leave the work its turn.
    "13.5" fn a_slow_beat_starves_nobody() {
        with_a_reactor();
        let (beats, polls) = (Cell::new(0), Cell::new(0));
        let work = async || {
            for _ in 0..3 {
                polls.set(polls.get() + 1);
                under_await::yield_now().await;
            }
        };
        let beat = || {
            beats.set(beats.get() + 1);
            thread::sleep(Duration::from_millis(2));
            let polls = polls.get();
            if beats.get() == 60 {
                Ledger::close();
                fail!(
                    "starves",
                    "A beat every 1 ms that takes 2 ms: the next one is always due. There were 60 beats, \
                     and the work, which gives way 3 times, was polled {polls} and has not ended.",
                    polls = times(polls)
                );
            }
        };
        block_on(with_heartbeat(work, Duration::from_millis(1), beat));
    }

    /// Work that is ready wins against the beat that is due, each time: its end is the end.
    "13.5" fn no_beat_after_the_end_of_the_work() {
        with_a_reactor();
        // Again and again, for nothing is left to chance here.
        for _ in 0..32 {
            let beats = Cell::new(0);
            let answer = block_on(with_heartbeat(
                async || "done",
                Duration::from_millis(10),
                || beats.set(beats.get() + 1),
            ));
            let beats = beats.get();
            // How many calls it took is not the story.
            Ledger::close();
            ensure!(answer == "done", "wrong-result", "The work gave \"done\", and it gave {answer:?}.");
            ensure!(
                beats == 0,
                "wrong-result",
                "The work was ready at once, and the first beat was due: it made {}. Needed: 0, and always. The \
                 work is over by then, and there is nothing to beat for.", many(beats, "beat")
            );
        }
    }

    /// Work that is dropped in the middle is dropped; work that is done at once is done.
    "13.5" fn a_heartbeat_ends_with_its_work() {
        with_a_reactor();
        let (drops, beats) = (Drops::default(), Cell::new(0));
        let beat = || beats.set(beats.get() + 1);
        let work = async || never(drops.token()).await;
        let forever = with_heartbeat(work, Duration::from_millis(5), beat);
        let _ = block_on(timeout(Duration::from_millis(30), forever));
        let seen = beats.get();
        ensure!(drops.count() == 1, "still-there", "It was dropped, and its work was not.");
        ensure!(
            seen > 1,
            "not-on-time",
            "30 ms with a beat at once and then every 5 ms: it beat {seen}.",
            seen = times(seen)
        );
        let timers = pending_timers();
        ensure!(timers == 0, "piles-up", "It was dropped. Left over: {}.", many(timers, "timer"));
    }

    /// What the table says is what happens.
    "13.6" fn the_table_is_what_happens() {
        use Operation::*;
        with_a_reactor();
        for operation in [
            Accept, Read, ReadExact, WriteAll, RecvFrom, BorrowedReceiver, Receiver, Tick, Sleep,
            Cancelled,
        ] {
            let said = loss(operation);
            let (lost, seen) = row(&format!("{operation:?}")).measure();
            Ledger::close();
            let seen = match seen {
                Some(seen) => seen,
                None => format!("Dropped after 0 to {POLLS} polls, and begun anew: nothing was lost."),
            };
            ensure!(
                format!("{said:?}") == lost,
                "wrong-result",
                "Your table says that {operation:?} loses {said:?}. {seen}"
            );
        }
    }

    /// One message after the other, and an error if the last one is not whole.
    "13.7" fn messages_come_whole() {
        with_a_reactor();
        for rest in ["", "-"] {
            let bytes = format!("abcdefgh{rest}");
            let mut messages = Messages::new(bytes.as_bytes(), 4);
            let got = [(); 3].map(|()| text(block_on(messages.next())));
            ensure!(
                got == [Ok("abcd".to_owned()), Ok("efgh".to_owned()), Err(ErrorKind::UnexpectedEof)],
                "wrong-result",
                "Of {bytes:?}, in messages of 4 bytes, it read {got:?}. Needed are two messages and \
                 `UnexpectedEof`."
            );
        }
    }

    /// As much as there is with each read, and what came before an error is not forgotten.
    "13.7" fn a_message_survives_an_error() {
        with_a_reactor();
        let mut stammers = Stammers { says: vec!["ab", "!", "cd", "efgh"].into_iter(), reads: 0 };
        let mut messages = Messages::new(&mut stammers, 4);
        let got = [(); 3].map(|()| text(block_on(messages.next())));
        ensure!(
            got == [Err(ErrorKind::TimedOut), Ok("abcd".to_owned()), Ok("efgh".to_owned())],
            "data-lost",
            "The reader gave \"ab\", then an error, then \"cd\" and \"efgh\". In messages of 4 bytes that \
             was {got:?}. What came before the error belongs to the message after it."
        );
        let reads = stammers.reads;
        ensure!(
            reads == 4,
            "extra-call",
            "\"ab\", an error, \"cd\" and \"efgh\" took {reads}. Needed: 4, each with room for all that is \
             missing. With a socket, each is a call of the kernel.", reads = many(reads, "read")
        );
        let grows = Stammers { says: vec!["ab", "", "cd"].into_iter(), reads: 0 };
        let mut messages = Messages::new(grows, 4);
        let got = [(); 2].map(|()| text(block_on(messages.next())));
        ensure!(
            got == [Err(ErrorKind::UnexpectedEof), Ok("abcd".to_owned())],
            "data-lost",
            "The reader gave \"ab\" and was at its end, and then there was more: \"cd\". In messages of 4 bytes \
             that was {got:?}. `UnexpectedEof` is an error, too: what came before it belongs to the message \
             after it."
        );
    }

    /// A message that was half read is read on.
    "13.7" fn a_message_survives_a_drop() {
        with_a_reactor();
        for polls in 0..=POLLS {
            let (ours, mut theirs) = pair();
            let mut messages = Messages::new(TcpStream::from_std(ours).unwrap(), 4);
            let (mut left, mut got) = (SENT.iter(), Vec::new());
            block_on(async {
                for _ in 0..2 {
                    let send = || {
                        let next = left.next().into_iter();
                        next.for_each(|byte| theirs.write_all(&[*byte]).unwrap());
                    };
                    got.extend(cut(polls, messages.next(), send).await.into_iter().flatten().flatten());
                }
                theirs.write_all(left.as_slice()).unwrap();
                theirs.shutdown(Shutdown::Write).unwrap();
                while let Ok(message) = messages.next().await {
                    got.extend(message);
                }
            });
            if let Err(seen) = same_bytes(&got) {
                // The calls it took are not the story.
                Ledger::close();
                fail!(
                    "data-lost",
                    "Messages of 4 bytes. `next` was dropped twice, each time when it had been polled as \
                     often as this: {polls}. Begun anew after that, {seen}."
                );
            }
        }
    }

}

/// The actors of one wait: a future that is polled until it is ready, and somebody who cancels. If it
/// moves, the future is first polled in another task.
fn cancels(moves: bool) -> Vec<Actor> {
    let token = CancelToken::new();
    let theirs = token.clone();
    let waits = actor("waiter", move || {
        let (bell, waker) = Bell::new();
        let mut wait = pin!(token.cancelled());
        if moves {
            point("poll, in another task");
            if step(wait.as_mut(), Waker::noop()).is_ready() {
                return;
            }
        }
        loop {
            point("poll");
            if step(wait.as_mut(), &waker).is_ready() {
                return;
            }
            let alarm = bell.clone();
            wait_until("sleep", move || alarm.is_rung());
            bell.rung();
        }
    });
    let cancels = actor("canceller", move || {
        point("cancel");
        theirs.cancel();
    });
    vec![waits, cancels]
}

/// Polls `future` once.
fn step<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// How many clones of its waker there are, besides the one that came with the bell.
fn owners(bell: &Arc<Bell>) -> usize {
    Arc::strong_count(bell) - 2
}

/// One poll ends `race`, and whoever counts in `drops` goes with it, once.
fn loses<T: Debug>(drops: &Drops, race: impl Future<Output = T>) {
    let mut over = Box::pin(race);
    let answer = step(over.as_mut(), Waker::noop());
    let count = drops.count();
    ensure!(
        answer.is_ready() && count == 1,
        "still-there",
        "The race gave {answer:?}. By then the loser was dropped {count} times, not once."
    );
    drop(over);
    let count = drops.count();
    ensure!(count == 1, "still-there", "In the end the loser was dropped {count} times.");
}

/// Never ready, and counted when it is dropped.
async fn never(_token: DropToken) {
    pending().await
}

/// One round, with these answers: who was asked, and what came of it.
fn around(open: &mut [bool], start: u64, answers: [Poll<bool>; 3]) -> (Vec<usize>, Poll<()>) {
    let asked = RefCell::new(Vec::new());
    let answer = once_around(open, start, |n| {
        asked.borrow_mut().push(n);
        answers[n]
    });
    (asked.into_inner(), answer)
}

/// Makes the reactor of this thread: its first calls have no place in the story of a check.
fn with_a_reactor() {
    let ledger = ledger();
    Ledger::close();
    block_on(async {});
    ledger.attach();
}

/// What was read, to be compared and printed.
fn text(message: io::Result<Vec<u8>>) -> Result<String, ErrorKind> {
    let text = message.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    text.map_err(|error| error.kind())
}

/// Counts how often `future` is polled.
async fn counted<F: Future>(polls: &Cell<u32>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
    .await
}

/// A waker that is the last to own something: with it goes somebody who uses the token. On another
/// thread, so that a lock that is held shows as an answer that does not come.
struct Owner {
    token: CancelToken,
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Owner {
    fn drop(&mut self) {
        asked(&self.token, REPLACED);
    }
}

/// Which waker is dropped, and by whom the token is asked then.
const REPLACED: &str = "A future was polled with another waker, and the older one was dropped. With it \
    went what its task owned, which";
const UNNEEDED: &str = "The token was cancelled, and a future that waits for it was polled. It needed no \
    waker any more, and dropped the clone that it had made. At that moment another thread";

/// Asks the token whether it is cancelled, and needs an answer.
fn asked(token: &CancelToken, who: &str) {
    let (token, (answered, answer)) = (token.clone(), mpsc::channel());
    thread::spawn(move || {
        token.is_cancelled();
        let _ = answered.send(());
    });
    if answer.recv_timeout(scaled(Duration::from_millis(300))).is_err() {
        fail!(
            "woken-under-lock",
            "{who} asked the token whether it was cancelled, and had no answer for 300 ms: the token is \
             locked until the waker is gone."
        );
    }
}

/// Reads one piece after the other; `!` is an error.
struct Stammers {
    says: std::vec::IntoIter<&'static str>,
    reads: u32,
}

impl AsyncRead for Stammers {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reads += 1;
        let Some(piece) = self.says.as_slice().first().copied() else { return Poll::Ready(Ok(0)) };
        if piece == "!" {
            self.says.next();
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece.as_bytes()[..count]);
        match &piece[count..] {
            "" => drop(self.says.next()),
            rest => {
                let others = self.says.clone().skip(1);
                self.says = iter::once(rest).chain(others).collect::<Vec<_>>().into_iter();
            }
        }
        Poll::Ready(Ok(count))
    }
}
