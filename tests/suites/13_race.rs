// The checks of chapter 13. `subject` is the code under examination.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use under_await::ch04_park;
use under_await::ch05_handoff::oneshot;
use under_await::ch09_timer::{Elapsed, block_on, pending_timers, sleep};
use under_await::ch10_net::TcpStream;
use under_await::ledger::watch;

use crate::support::cuts::{POLLS, SENT, cut, row, same_bytes};
use crate::support::net::pair;
use crate::support::{
    Bell, DropToken, Drops, Event, Ledger, allocations, checks, ensure, fail, later, ledger, panics,
};

use subject::extend::{Loss, Messages, Operation, loss, timeout, with_heartbeat};
use subject::{CancelToken, Either, once_around, race, random, seed, select};

checks! {
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

    /// Who answers `Pending` has asked both, and both have its waker.
    "13.1" fn both_have_the_waker() {
        let ((_a, receiver_a), (_b, receiver_b)) = (oneshot::<u32>(), oneshot::<u32>());
        let (bell, waker) = Bell::new();
        let mut race = pin!(race(receiver_a, receiver_b));
        let answer = step(race.as_mut(), &waker);
        ensure!(answer.is_pending(), "wrong-result", "Neither was ready, and it gave {answer:?}.");
        let owners = owners(&bell);
        ensure!(
            owners == 2,
            "never-woken",
            "Of two futures that wait {owners} have kept the waker; 2 should: each may be the first."
        );
    }

    /// When both are ready the first one wins, and the second one is not asked.
    "13.1" fn nobody_is_asked_after_the_winner() {
        let asked = Cell::new(false);
        let second = poll_fn(|_| {
            asked.set(true);
            Poll::Ready("b")
        });
        let winner = step(pin!(race(ready("a"), second)), Waker::noop());
        ensure!(
            matches!(winner, Poll::Ready(Either::Left("a"))),
            "wrong-result",
            "Both were ready, and the race gave {winner:?}; `a` is asked first."
        );
        ensure!(
            !asked.get(),
            "data-lost",
            "`a` was ready, and `b` was polled all the same. It was ready as well: what it gave, \
             nobody gets."
        );
    }

    /// The loser is dropped before the answer is given, and once.
    "13.1" fn the_loser_is_dropped_first() {
        let drops = Drops::default();
        let mut over = Box::pin(race(ready(1), never(drops.token())));
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
        ensure!(count == 0, "allocates", "One race made {count} allocations.");
    }

    /// Every branch is asked, once around from where chance says.
    "13.2" fn all_are_asked_from_start() {
        for (start, wanted) in [(0, [0, 1, 2]), (1, [1, 2, 0]), (2, [2, 0, 1]), (7, [1, 2, 0])] {
            let (asked, answer) = around(&mut [true; 3], start, [Poll::Pending; 3]);
            ensure!(
                asked == wanted,
                "never-woken",
                "From {start}, three branches were asked in the order {asked:?}; {wanted:?} is needed. \
                 Who is not asked has no waker."
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
            "Branch 1 won, and {asked:?} were asked. Who is asked after the winner may be ready as \
             well: what it gives, nobody gets."
        );
    }

    /// Who is out is not asked again; when nobody is left, that is an answer.
    "13.2" fn who_is_out_is_not_asked_again() {
        let open = &mut [true, false, true];
        let (asked, answer) = around(open, 0, [Poll::Ready(false), Poll::Pending, Poll::Pending]);
        ensure!(
            asked == [0, 2] && answer.is_pending(),
            "wrong-result",
            "Branch 1 was not open, branch 0 was ready and did not fit, branch 2 was pending. Asked \
             were {asked:?}, and the answer was {answer:?}; needed are [0, 2] and `Pending`."
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
             dropped, and in the end they were dropped {} times.", drops.count()
        );
    }

    /// Who waits is woken by `cancel`, from another thread too; who comes later does not wait.
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
        ensure!(kept > 1, "never-woken", "Two futures wait, and the token has {kept} wakers, not 2.");
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
    }

    /// A waiter that is dropped leaves nothing, and takes nobody else's place along.
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
        // Who comes now must not get the place of one who is there.
        let (late, waker) = Bell::new();
        let mut wait = Box::pin(token.cancelled());
        let _ = step(wait.as_mut(), &waker);
        token.cancel();
        let (rung, last) = (bells.each_ref().map(|(bell, _)| bell.rung()), late.rung());
        ensure!(
            rung == [1, 0, 1, 0] && last == 1,
            "lost-wake",
            "Of four that waited, the second and the fourth were dropped, and one more came. `cancel` \
             woke the four {rung:?} times, and the last one {last} times. Needed are [1, 0, 1, 0] and 1."
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
            "The future was ready in time, and {timers} timers are left; its sleep should be dropped."
        );
        let drops = Drops::default();
        let slow = never(drops.token());
        let answer = block_on(watch("too slow", timeout(Duration::from_millis(5), slow)));
        ensure!(
            answer == Err(Elapsed) && drops.count() == 1,
            "wrong-result",
            "A future that is never ready, and 5 ms: it gave {answer:?}, and the future was dropped {} \
             times. Needed are `Err(Elapsed)` and 1.", drops.count()
        );
    }

    /// Who is ready when the time is over has won.
    "13.4" fn ready_at_the_last_moment() {
        with_a_reactor();
        let answer = block_on(timeout(Duration::ZERO, ready("done")));
        ensure!(
            answer == Ok("done"),
            "not-on-time",
            "The future was ready, and the time was over: it gave {answer:?}. The work is done, and \
             nobody gets it."
        );
    }

    /// However often the heart beats, the work is begun once, and its end is the end.
    "13.5" fn the_work_is_begun_once() {
        with_a_reactor();
        let (begun, beats) = (Cell::new(0), Cell::new(0));
        let work = async || {
            begun.set(begun.get() + 1);
            // Who begins again and again would never come to an end.
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
            "wrong-result",
            "{took} ms of work, with a beat at once and then every 10 ms: there were {beats} beats."
        );
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
        ensure!(seen > 1, "wrong-result", "30 ms with a beat every 5 ms, and it beat {seen} times.");
        let timers = pending_timers();
        ensure!(timers == 0, "piles-up", "It was dropped, and {timers} timers are left.");
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

    /// One message after the other, and an error if the last one is not whole.
    "13.7" fn messages_come_whole() {
        with_a_reactor();
        let bytes = b"abcdefgh-";
        let mut messages = Messages::new(&bytes[..], 4);
        let got = [(); 3].map(|()| block_on(messages.next()).map_err(|error| error.kind()));
        ensure!(
            got == [Ok(b"abcd".to_vec()), Ok(b"efgh".to_vec()), Err(ErrorKind::UnexpectedEof)],
            "wrong-result",
            "Of \"abcdefgh-\", in messages of 4 bytes, it read {got:?}. Needed are two messages and \
             `UnexpectedEof`."
        );
    }
}

/// Polls `future` once.
fn step<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// How many clones of its waker there are, besides the one that came with the bell.
fn owners(bell: &Arc<Bell>) -> usize {
    Arc::strong_count(bell) - 2
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
