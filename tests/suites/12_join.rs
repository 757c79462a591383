// The checks of chapter 12. `subject` is the code under examination.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use under_await::ch01_future::{poll_once, yield_now};
use under_await::ch03_waker::waker_fn;
use under_await::ch04_park::block_on;
use under_await::ch05_handoff::thread_sleep;
use under_await::ledger::watch;

use crate::support::{
    Bell, DropToken, Drops, allocations, checks, ensure, fail, many, panics, scaled, times,
};

use subject::extend::{Unordered, both, join_fairly, join3, try_both};
use subject::{WokenList, join_all, maybe_done, try_join_all};

checks! {
    /// A future that is done keeps its output until it is taken, and is not polled meanwhile.
    "12.1" fn keeps_its_output() {
        let (gate, key) = gate(7);
        let mut child = pin!(maybe_done(gate));
        let (bell, waker) = Bell::new();
        let cx = &mut Context::from_waker(&waker);
        is_pending(child.as_mut().poll(cx), "Its future was pending");
        ensure!(
            child.as_mut().take_output().is_none(),
            "wrong-result", "The future was pending, and there was an output to take."
        );
        key.open();
        for poll in 1..=3 {
            let answer = child.as_mut().poll(cx);
            ensure!(
                answer.is_ready(), "wrong-result",
                "Its future was ready; poll {poll} after that gave {answer:?}. `Ready` is needed, as long as \
                 the output is there."
            );
        }
        let polls = key.polls();
        ensure!(
            polls == 2, "polled-after-ready",
            "The future was pending at its first poll and ready at its second. It was polled {polls}.",
            polls = times(polls)
        );
        let rung = bell.rung();
        ensure!(
            rung > 0, "never-woken",
            "The future called the waker of its poll, and the task was not woken: the future got another waker."
        );
        ensure!(
            rung == 1, "busy-poll",
            "The future woke its task once, and the task was woken {rung} times. To pass polls on \
             is to wake nobody."
        );
        let outputs = (child.as_mut().take_output(), child.as_mut().take_output());
        ensure!(
            outputs == (Some(7), None), "wrong-result",
            "The output was 7. Taken twice, it was {outputs:?}; (Some(7), None) is needed."
        );
    }

    /// The future is dropped when it is done, and the output when it goes.
    "12.1" fn the_future_goes_when_it_is_done() {
        let (futures, outputs) = (Drops::default(), Drops::default());
        let mut child = Box::pin(maybe_done(holds(futures.token(), outputs.token())));
        let _ = poll_once(child.as_mut());
        let dropped = (futures.count(), outputs.count());
        ensure!(
            dropped == (1, 0), "leak",
            "The future was done and its output not taken: {dropped:?} of the two were dropped. Needed: \
             (1, 0)."
        );
        drop(child);
        let dropped = (futures.count(), outputs.count());
        ensure!(
            dropped == (1, 1), "leak",
            "All was dropped, with the output in it: future and output were dropped {dropped:?} times. \
             Needed: (1, 1)."
        );
    }

    /// After its output was taken, a poll panics.
    "12.1" fn panics_when_its_output_is_gone() {
        let mut child = pin!(maybe_done(std::future::ready(1)));
        let _ = poll_once(child.as_mut());
        let _ = child.as_mut().take_output();
        let panic = panics(|| {
            let _ = poll_once(child.as_mut());
        });
        ensure!(
            panic.is_some(), "answered-twice",
            "The output was taken, and another poll gave an answer. A panic is needed."
        );
    }

    /// Branches take turns: none waits for another one to be done.
    "12.1" fn branches_take_turns() {
        let steps = RefCell::new(String::new());
        let output = block_on(watch("join!", both(walk(&steps, 'a'), walk(&steps, 'b'))));
        took_turns("join!", "ab", &steps.take());
        ensure!(output == ('a', 'b'), "wrong-result", "`join!` gave {output:?}, not ('a', 'b').");
    }

    /// A branch that is done is not polled again, however long the others take.
    "12.1" fn who_is_done_rests() {
        let (quick, slow) = (Cell::new(0), Cell::new(0));
        block_on(both(counted(&quick, yields(1)), counted(&slow, yields(100))));
        let polls = (quick.get(), slow.get());
        ensure!(
            polls == (2, 101), "polled-after-ready",
            "One branch is ready at its second poll and the other one at its 101st. They were polled \
             {polls:?} times."
        );
    }

    /// `join!` allocates nothing.
    "12.1" fn join_allocates_nothing() {
        let count = allocations(|| {
            let mut both = pin!(both(yields(3), yields(5)));
            while poll_once(both.as_mut()).is_pending() {}
        });
        ensure!(
            count == 0,
            "allocates",
            "A `join!` of two made {count}; 0 are needed.",
            count = many(count, "allocation")
        );
    }

    /// When all goes well, `try_join!` is `Ok` of all.
    "12.2" fn all_goes_well() {
        let output = block_on(watch("try_join!", try_both(ends(2, Ok(1)), ends(0, Ok(2)))));
        ensure!(
            output == Ok((1, 2)), "wrong-result",
            "The branches gave Ok(1) and Ok(2); `try_join!` gave {output:?}."
        );
        let steps = RefCell::new(String::new());
        let walk = async |name| Ok::<_, ()>(walk(&steps, name).await);
        let both = watch("try_join!", try_both(walk('a'), walk('b')));
        let _: Result<(char, char), ()> = block_on(both);
        took_turns("try_join!", "ab", &steps.take());
        let closed = || async { Ok::<_, ()>(pending::<u32>().await) };
        let mut both = pin!(try_both(closed(), closed()));
        sleeps("try_join!", |cx| both.as_mut().poll(cx));
    }

    /// The first error is the end: nobody waits for the others, and they are dropped.
    "12.2" fn the_first_error_is_the_end() {
        for first in [true, false] {
            let drops = Drops::default();
            let never = || async {
                let _held = drops.token();
                pending::<Result<u32, u32>>().await
            };
            let fails = async {
                let mut both = pin!(async {
                    match first {
                        true => try_both(ends(1, Err(7)), never()).await,
                        false => try_both(never(), ends(1, Err(7))).await,
                    }
                });
                is_pending(poll_once(both.as_mut()), "Both branches were pending");
                poll_once(both.as_mut())
            };
            let answer: Poll<Result<(u32, u32), u32>> = block_on(fails);
            ensure!(
                answer == Poll::Ready(Err(7)), "stuck",
                "One branch ended with Err(7), the other one never ends. The poll at which it ended gave \
                 {answer:?}; Ready(Err(7)) is needed."
            );
            let dropped = drops.count();
            ensure!(dropped == 1, "leak", "After the error, the other branch was dropped {dropped} times.");
        }
    }

    /// After an error, the branches later in the order are not polled any more.
    "12.2" fn nobody_is_polled_after_the_error() {
        let polls = Cell::new(0);
        let output = block_on(try_both(ends(1, Err(1)), counted(&polls, ends(1, Err(2)))));
        ensure!(
            output == Err(1), "wrong-result",
            "Two branches fail at the same poll, with 1 and with 2. `try_join!` gave {output:?}; the first \
             in order is needed, Err(1)."
        );
        let polls = polls.get();
        ensure!(
            polls == 1, "stuck",
            "The first branch failed at the second poll, and that is the answer. The branch after it was \
             polled {polls} times, the last time in that poll; 1 is needed."
        );
    }

    /// The list has the children that were woken since the last look, in that order.
    "12.3" fn the_list_notes_who_was_woken() {
        let (list, wakers) = list(4);
        [2, 0, 3].map(|child: usize| wakers[child].wake_by_ref());
        let first = look(&list, Waker::noop());
        wakers[1].wake_by_ref();
        let (second, third) = (look(&list, Waker::noop()), look(&list, Waker::noop()));
        let seen = (first, second, third);
        ensure!(
            seen == (vec![2, 0, 3], vec![1], vec![]), "wrong-result",
            "2, 0 and 3 were woken, then there was a look; then 1 was woken, and there were two looks. They \
             saw {seen:?}."
        );
    }

    /// A child that is woken often stands on the list once.
    "12.3" fn the_list_notes_each_once() {
        let (list, wakers) = list(2);
        (0..1000).for_each(|n| wakers[(n + 1) % 2].wake_by_ref());
        let seen = look(&list, Waker::noop());
        ensure!(
            seen.len() == 2, "piles-up",
            "Two children were woken 500 times each, and the list has {} entries. Once is enough for each.",
            seen.len()
        );
        wakers[1].wake_by_ref();
        let seen = look(&list, Waker::noop());
        ensure!(
            seen == [1], "lost-wake",
            "Child 1 was woken, seen by a look, and woken again. The next look saw {seen:?}; [1] is needed."
        );
    }

    /// The parent that looked last is told, once, until it looks again.
    "12.3" fn the_list_tells_the_parent() {
        let (list, wakers) = list(2);
        let ((a, parent_a), (b, parent_b)) = (Bell::new(), Bell::new());
        look(&list, &parent_a);
        look(&list, &parent_b);
        [0, 0, 1, 1].map(|child: usize| wakers[child].wake_by_ref());
        let rung = (a.rung(), b.rung());
        ensure!(
            rung.1 > 0, "never-woken",
            "A looked, and then B. Two children were woken twice each, and the parents {rung:?} times. (0, 1) is needed."
        );
        ensure!(
            rung == (0, 1), "wrong-wake",
            "A looked, and then B. Two children were woken twice each, and the parents {rung:?} times. (0, 1) is needed: \
             one wake is one poll, and at that poll both are on the list."
        );
    }

    /// The parent is told when the lock is free: it may look at once.
    "12.3" fn the_list_tells_the_parent_unlocked() {
        let (list, wakers) = list(2);
        let looks = list.clone();
        let (told, seen) = mpsc::channel();
        look(&list, &meddler(move || drop(told.send(look(&looks, Waker::noop())))));
        wakers[0].wake_by_ref();
        let seen = seen.try_recv();
        ensure!(
            seen == Ok(vec![0]), "lost-wake",
            "Child 0 was woken. When the parent was told, it looked at the list and saw {seen:?}; Ok([0]) is \
             needed. Nobody will tell it of what it does not see then."
        );
    }

    /// A child that is woken while somebody looks is on the list for the next look.
    "12.3" fn woken_during_a_look() {
        let (list, wakers) = list(1);
        let (bell, parent) = Bell::new();
        let mut wakes = Wakes { waker: wakers[0].clone(), other: None };
        list.look(&parent, &mut wakes);
        wakes.other.expect("it was started").join().unwrap();
        let rung = bell.rung();
        let seen = look(&list, Waker::noop());
        ensure!(
            seen == [0], "lost-wake",
            "While one thread looked at the list, another one woke child 0. The next look saw {seen:?}; [0] is \
             needed. A wake that finds the lock taken waits for it."
        );
        ensure!(
            rung == 1, "lost-wake",
            "While one thread looked at the list, another one woke child 0. The list has it, and the parent was \
             told {rung} times; 1 is needed."
        );
    }

    /// `join_all` gives the outputs in the order of the futures.
    "12.4" fn outputs_in_the_order_of_the_futures() {
        let answer = poll_once(pin!(join_all(Vec::<Gate>::new())));
        ensure!(
            answer == Poll::Ready(vec![]), "stuck",
            "A `join_all` of no futures has nothing to wait for, and its first poll gave {answer:?}."
        );
        let (gates, keys) = gates(5);
        let mut all = pin!(join_all(gates));
        is_pending(poll_once(all.as_mut()), "No child was ready");
        for next in [3, 0, 4, 2] {
            keys[next].open();
            is_pending(poll_once(all.as_mut()), "Not all children were ready");
        }
        keys[1].open();
        let answer = poll_once(all.as_mut());
        ensure!(
            answer.is_ready(), "lost-wake",
            "Five children were ready, one before each poll of the join, and each had called the waker of its \
             poll. After the last of them `join_all` gave {answer:?}: a child that was woken was \
             not polled."
        );
        ensure!(
            answer == Poll::Ready(vec![0, 1, 2, 3, 4]), "wrong-result",
            "Five children with the outputs 0 to 4 were ready in the order 3, 0, 4, 2, 1. `join_all` gave \
             {answer:?}; the outputs in the order of the futures are needed."
        );
    }

    /// Each child is polled once, and once more after it was woken.
    "12.4" fn only_the_woken_are_polled() {
        const N: usize = 40;
        let (gates, keys) = gates(N);
        let mut all = pin!(join_all(gates));
        is_pending(poll_once(all.as_mut()), "No child was ready");
        for key in keys.iter().rev() {
            let bell = sleeps("join_all", |cx| all.as_mut().poll(cx));
            key.open();
            ensure!(
                bell.is_rung(), "old-waker",
                "`join_all` was polled with one waker, and then with another one. A child was woken, and the \
                 second waker was not."
            );
        }
        let answer = poll_once(all.as_mut());
        ensure!(answer.is_ready(), "stuck", "All {N} children were ready, and `join_all` was pending.");
        let polls = polls(&keys);
        ensure!(
            polls <= 2 * N as u32 + 1, "busy-poll",
            "{N} children were ready one at a time. They were polled {polls} times, {} are needed: one for \
             each, and one for each wake.", 2 * N
        );
    }

    /// A poll is one round, also for a child that wakes itself in every poll.
    "12.4" fn a_poll_is_one_round() {
        let polls = Cell::new(0);
        let _ = poll_once(pin!(join_all([counted(&polls, yields(100))])));
        let polls = polls.get();
        ensure!(
            polls == 1, "waits-for-one",
            "A child wakes itself in each of its first 100 polls. One poll of `join_all` polled it {polls} \
             times; 1 is needed. Until the poll returns, the rest of the thread waits: a child woken during \
             the round is for the next one."
        );
    }

    /// Each child has one waker, for all its polls.
    "12.4" fn no_waker_is_made_twice() {
        let mut all = pin!(join_all((0..8).map(|_| yields(100))));
        for _ in 0..4 {
            let _ = poll_once(all.as_mut());
        }
        let count = allocations(|| (0..50).for_each(|_| drop(poll_once(all.as_mut()))));
        ensure!(
            count <= 100, "allocates",
            "In 50 polls of a `join_all`, each of its 8 children was polled 50 times, and that made {count}. \
             Their wakers were made with the join.", count = many(count, "allocation")
        );
    }

    /// A child that is woken during a poll, by itself or by another child, is polled after that.
    "12.4" fn a_wake_during_the_poll_counts() {
        let (bell, waker) = Bell::new();
        let mut all = pin!(join_all([yields(2), yields(1)]));
        for poll in 1..=3 {
            let answer = all.as_mut().poll(&mut Context::from_waker(&waker));
            ensure!(
                answer.is_ready() == (poll == 3), "lost-wake",
                "Two children wake themselves in their polls, twice and once. Poll {poll} of the join gave \
                 {answer:?}. It should be ready at the third."
            );
            let rung = bell.rung();
            ensure!(
                poll == 3 || rung > 0, "lost-wake",
                "A child woke itself in poll {poll} of the join, and the parent was not woken."
            );
        }
    }

    /// A child that is done may be woken again, and is not polled.
    "12.4" fn a_wake_after_its_end_polls_nobody() {
        let (gates, keys) = gates(40);
        let mut all = pin!(join_all(gates));
        is_pending(poll_once(all.as_mut()), "No child was ready");
        let late = keys[0].waker();
        keys[0].open();
        is_pending(poll_once(all.as_mut()), "39 children were not ready");
        late.wake();
        is_pending(poll_once(all.as_mut()), "39 children were not ready");
        let (done, polled) = (keys[0].polls(), polls(&keys));
        ensure!(
            done == 2, "polled-after-ready",
            "A child was ready at its second poll, and was woken once more after that. It was polled {done} \
             times."
        );
        ensure!(
            polled == 41, "busy-poll",
            "Of 40 children one was ready and was woken once more; the others were never woken. Together they \
             were polled {polled} times; 41 are needed."
        );
        keys[1..39].iter().for_each(Key::open);
        let answer = poll_once(all.as_mut());
        ensure!(
            answer.is_pending(), "wrong-result",
            "Of 40 children 39 are done, and one of these was woken once more after its end. `join_all` was \
             ready. It should wait for the last: a child that is done is counted once."
        );
    }

    /// Children that other threads wake.
    "12.4" fn woken_by_other_threads() {
        let sleep = async |ms| {
            thread_sleep(Duration::from_millis(ms)).await;
            ms
        };
        let output = block_on(watch("join_all", join_all([30, 10, 20].map(sleep))));
        ensure!(output == [30, 10, 20], "wrong-result", "The outputs are {output:?}, not [30, 10, 20].");
    }

    /// `try_join_all` ends with the first error, and drops all.
    "12.4" fn the_first_error_of_many_is_the_end() {
        let (drops, last) = (Drops::default(), Cell::new(0));
        let child = async |n: u32, token: DropToken| {
            let end = if n == 2 { Err(n) } else { Ok(n) };
            let ends = ends(if n == 0 { 50 } else { n }, end);
            let output = if n == 3 { counted(&last, ends).await } else { ends.await };
            drop(token);
            output
        };
        let mut all = pin!(try_join_all([0, 1, 2, 3].map(|n| child(n, drops.token()))));
        let mut polls = 1;
        let output: Result<Vec<u32>, u32> = loop {
            match poll_once(all.as_mut()) {
                Poll::Ready(output) => break output,
                Poll::Pending => polls += 1,
            }
            ensure!(polls < 10, "stuck", "A child failed at its third poll; `try_join_all` went on for {polls}.");
        };
        let dropped = drops.count();
        ensure!(
            (&output, dropped) == (&Err(2), 4), "wrong-result",
            "Of four children one failed, with 2. `try_join_all` gave {output:?}, and {dropped} children were \
             dropped. Err(2) and 4 are needed."
        );
        let last = last.get();
        ensure!(
            last == 2, "stuck",
            "The third child failed at its third poll. The fourth one was polled {last}; 2 are needed: \
             after an error nobody is polled.", last = times(last)
        );
    }

    /// Three in a struct, side by side.
    "12.5" fn three_take_turns() {
        let steps = RefCell::new(String::new());
        let walks = join3(walk(&steps, 'a'), walk(&steps, 'b'), walk(&steps, 'c'));
        let output = block_on(watch("join3", walks));
        took_turns("join3", "abc", &steps.take());
        ensure!(output == ('a', 'b', 'c'), "wrong-result", "`join3` gave {output:?}, not ('a', 'b', 'c').");
    }

    /// Whichever of the three is last, the outputs of the others are still there.
    "12.5" fn three_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [2, 0, 1]] {
            let (gates, keys) = gates(3);
            let [a, b, c] = <[Gate; 3]>::try_from(gates).expect("there are three");
            let mut all = pin!(join3(a, b, c));
            for next in order {
                let bell = sleeps("join3", |cx| all.as_mut().poll(cx));
                keys[next].open();
                ensure!(
                    bell.is_rung(), "never-woken",
                    "Future {next} of three called the waker of its poll, and the task was not woken."
                );
            }
            let answer = poll_once(all.as_mut());
            ensure!(
                answer.is_ready(), "stuck",
                "Three were ready in the order {order:?}, one before each poll. After the last of them `join3` \
                 gave {answer:?}."
            );
            ensure!(
                answer == Poll::Ready((0, 1, 2)), "wrong-result",
                "Three were ready in the order {order:?}. `join3` gave {answer:?}; (0, 1, 2) is needed."
            );
            let polls = [0, 1, 2].map(|n: usize| keys[n].polls());
            let needed = [0, 1, 2].map(|n| 2 + order.iter().position(|at| *at == n).unwrap() as u32);
            ensure!(
                polls == needed, "polled-after-ready",
                "Three were ready in the order {order:?}, and polled {polls:?} times; {needed:?} are needed."
            );
        }
    }

    /// The first to be done comes first; when none is left, that is an answer.
    "12.6" fn whoever_is_done_comes_first() {
        let (gates, keys) = gates(3);
        let mut set = Unordered::new();
        gates.into_iter().for_each(|gate| set.push(gate));
        let mut came = Vec::new();
        for next in [2, 0, 1] {
            is_pending(ask(&mut set), "Nobody was ready");
            keys[next].open();
            let answer = ask(&mut set);
            ensure!(
                answer.is_ready(), "lost-wake",
                "Future {next} was ready and had called the waker of its poll. The set was asked after that, \
                 and gave {answer:?}."
            );
            came.push(answer);
        }
        came.push(ask(&mut set));
        let needed = [Some(2), Some(0), Some(1), None].map(Poll::Ready);
        ensure!(
            came == needed, "wrong-result",
            "Three were ready in the order 2, 0, 1. The set gave {came:?}, and {needed:?} is needed."
        );
    }

    /// A future that is done is dropped at once; a late wake changes nothing.
    "12.6" fn who_is_done_goes() {
        let drops = Drops::default();
        let (gates, keys) = gates(2);
        let mut set = Unordered::new();
        for mut gate in gates {
            let token = drops.token();
            set.push(poll_fn(move |cx| {
                let _held = &token;
                Pin::new(&mut gate).poll(cx)
            }));
        }
        is_pending(ask(&mut set), "Nobody was ready");
        let late = keys[0].waker();
        keys[0].open();
        let (bell, waker) = Bell::new();
        let answer = set.poll_next(&mut Context::from_waker(&waker));
        ensure!(answer == Poll::Ready(Some(0)), "stuck", "Future 0 was ready, and the set gave {answer:?}.");
        ensure!(!bell.is_rung(), "busy-poll", "The set gave an output, and woke its own task besides.");
        let dropped = drops.count();
        ensure!(
            dropped == 1, "leak",
            "One of two futures was done, and the set had given its output. {dropped} were dropped."
        );
        late.wake();
        is_pending(ask(&mut set), "One was done and was woken once more, the other one was never woken");
        let polls = polls(&keys);
        ensure!(polls == 3, "busy-poll", "The two were polled {polls} times in all; 3 are needed.");
    }

    /// One question is one round, and whoever asked last is told of the next wake.
    "12.6" fn who_asked_last_is_woken() {
        let (gates, keys) = gates(3);
        let mut set = Unordered::new();
        gates.into_iter().for_each(|gate| set.push(gate));
        is_pending(ask(&mut set), "Nobody was ready");
        keys[0].open();
        keys[1].waker().wake();
        let answer = ask(&mut set);
        ensure!(answer == Poll::Ready(Some(0)), "stuck", "Future 0 was ready, and the set gave {answer:?}.");
        let bell = sleeps("the set", |cx| set.poll_next(cx));
        keys[2].open();
        ensure!(
            bell.is_rung(), "old-waker",
            "Two were woken, and one of them was ready. The set was asked again, with another waker: it \
             polled the other one of the two, and answered `Pending`. Then the third was woken, and this \
             waker was not."
        );
    }

    /// A future that wakes itself in every poll is polled once each time.
    "12.6" fn asked_once_polled_once() {
        let polls = Cell::new(0);
        let mut set = Unordered::new();
        set.push(counted(&polls, yields(100)));
        let _ = ask(&mut set);
        let polls = polls.get();
        ensure!(
            polls == 1, "waits-for-one",
            "A future wakes itself in each of its first 100 polls. The set was asked once, and polled it \
             {polls} times; 1 is needed. Until the answer comes, the rest of the thread waits."
        );
    }

    /// When several are done at once, none of them is forgotten.
    "12.6" fn several_at_once() {
        let (gates, keys) = gates(4);
        let mut set = Unordered::new();
        gates.into_iter().for_each(|gate| set.push(gate));
        is_pending(ask(&mut set), "Nobody was ready");
        [2, 0, 3, 1].map(|next: usize| keys[next].open());
        let came = (0..4).map(|_| ask(&mut set)).collect::<Vec<_>>();
        let forgotten = came.iter().filter(|answer| answer.is_pending()).count();
        ensure!(
            forgotten == 0, "lost-wake",
            "Four were woken and ready, and the set was asked four times: {forgotten} it answered \
             `Pending`. A future that was woken is still to be polled.", forgotten = times(forgotten)
        );
        let needed = [2, 0, 3, 1].map(|n| Poll::Ready(Some(n)));
        ensure!(
            came == needed, "starves",
            "Four were woken and ready, in the order 2, 0, 3, 1. The set gave {came:?}. The first woken \
             comes first: otherwise it waits as long as others are woken."
        );
    }

    /// A future that is added later is polled too.
    "12.6" fn one_more_in_between() {
        let mut set = Unordered::new();
        let (gates, keys) = gates(2);
        let mut gates = gates.into_iter();
        set.push(gates.next().unwrap());
        is_pending(ask(&mut set), "Nobody was ready");
        keys[1].0.lock().unwrap().is_open = true;
        set.push(gates.next().unwrap());
        let answer = ask(&mut set);
        ensure!(
            answer == Poll::Ready(Some(1)), "never-polled",
            "A future that was ready was added, and the set gave {answer:?}. It should poll the newcomer."
        );
        let polls = keys[0].polls();
        ensure!(polls == 1, "busy-poll", "The other one was polled {polls} times, and never woken.");
    }

    /// The set sleeps while nobody is ready, and is woken.
    "12.6" fn a_set_is_woken() {
        let came = block_on(watch("set", async {
            let mut set = Unordered::new();
            for ms in [20, 40, 5] {
                set.push(async move {
                    thread_sleep(Duration::from_millis(ms)).await;
                    ms
                });
            }
            let mut came = Vec::new();
            while let Some(ms) = set.next().await {
                came.push(ms);
            }
            came
        }));
        let mut sorted = came.clone();
        sorted.sort();
        ensure!(sorted == [5, 20, 40], "wrong-result", "The set gave {came:?}; all of 5, 20 and 40 are needed.");
    }

    /// A child that takes all there is does so in its turn, and the others have theirs.
    "12.7" fn everybody_has_a_turn() {
        let budget = Cell::new(0);
        let polls = [0; 4].map(Cell::new);
        let works = [(&polls[0], 100), (&polls[1], 1), (&polls[2], 1), (&polls[3], 1)];
        let mut all = pin!(join_fairly(works.map(|(polls, work)| counted(polls, uses(&budget, work)))));
        for _ in 0..5 {
            budget.set(5);
            is_pending(poll_once(all.as_mut()), "The first child needs 20 polls");
        }
        let seen = polls.each_ref().map(Cell::get);
        ensure!(
            seen[1..].iter().all(|polls| *polls < 5), "waits-for-one",
            "In each poll there is work for 5. The first of four children can use 100, the others 1 each. \
             In five polls of the join the four were polled {seen:?} times: of the last three, one was not done \
             after four. The first takes everything, and in four polls each should be the first once."
        );
        ensure!(
            seen[0] >= 5, "never-polled",
            "The join was polled five times, and its four children {seen:?} times. The first one is not \
             done: 5 are needed for it."
        );
        ensure!(
            seen[0] == 5, "busy-poll",
            "The join was polled five times, and its four children {seen:?} times. In one poll of the join, \
             each should be polled once."
        );
    }

    /// In turn, each is the first equally often, and each is polled once in each poll.
    "12.7" fn the_turn_goes_round() {
        let log = RefCell::new(Vec::new());
        let child = async |name: usize| {
            poll_fn(|cx| {
                log.borrow_mut().push(name);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await
        };
        let mut all = pin!(join_fairly((0..3).map(child)));
        let mut first = [0; 3];
        for _ in 0..9 {
            is_pending(poll_once(all.as_mut()), "None of the children is ever ready");
            let mut polled = log.take();
            first[*polled.first().unwrap_or(&0)] += 1;
            polled.sort();
            ensure!(
                polled == [0, 1, 2], "never-polled",
                "In one poll of the join, these of its three children were polled: {polled:?}. Each should be, \
                 once."
            );
        }
        ensure!(
            first == [3, 3, 3], "waits-for-one",
            "In nine polls, the three children were the first {first:?} times. Needed: [3, 3, 3]."
        );
    }

    /// Whichever begins, the outputs stand in the order of the futures.
    "12.7" fn fair_outputs_are_in_order() {
        let answer = poll_once(pin!(join_fairly(Vec::<Gate>::new())));
        ensure!(
            answer == Poll::Ready(vec![]), "stuck",
            "A join of no futures has nothing to wait for, and its first poll gave {answer:?}."
        );
        let (gates, keys) = gates(4);
        let mut all = pin!(join_fairly(gates));
        for next in [2, 0, 3] {
            sleeps("the join", |cx| all.as_mut().poll(cx));
            keys[next].open();
        }
        // Six polls in all: children that are moved at each are not back in their places after it.
        for _ in 0..2 {
            is_pending(poll_once(all.as_mut()), "Not all were ready");
        }
        keys[1].open();
        let answer = poll_once(all.as_mut());
        ensure!(
            answer == Poll::Ready(vec![0, 1, 2, 3]), "wrong-result",
            "Four children with the outputs 0 to 3 gave {answer:?}; the outputs in order are needed."
        );
    }
}

/// Branches walked three steps each.
fn took_turns(join: &str, branches: &str, steps: &str) {
    let round = |n| branches.chars().map(move |name| format!("{name}{n} "));
    let needed = (0..3).flat_map(round).collect::<String>();
    ensure!(
        steps == needed, "waits-for-one",
        "The branches of `{join}` gave way after every step.\n\
         Steps:  {}\n\
         Needed: {}", steps.trim_end(), needed.trim_end()
    );
}

/// It answers `Pending`, and wakes nobody: no future in it has called a waker in this poll. The bell of
/// whoever asked.
fn sleeps<T: std::fmt::Debug>(
    join: &str,
    ask: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Arc<Bell> {
    let (bell, waker) = Bell::new();
    is_pending(ask(&mut Context::from_waker(&waker)), "Not all were ready");
    ensure!(
        !bell.is_rung(), "busy-poll",
        "`{join}` answered `Pending` and woke its own task, though nobody in it had called a waker."
    );
    bell
}

/// Nothing has happened yet that would make it ready.
fn is_pending<T: std::fmt::Debug>(answer: Poll<T>, why: &str) {
    ensure!(answer.is_pending(), "wrong-result", "{why}, and the answer was {answer:?}.");
}

/// Three steps, and after each it gives way.
async fn walk(steps: &RefCell<String>, name: char) -> char {
    for step in 0..3 {
        steps.borrow_mut().push_str(&format!("{name}{step} "));
        yield_now().await;
    }
    name
}

/// Pending `n` times, and each time woken by itself.
async fn yields(n: u32) {
    for _ in 0..n {
        yield_now().await;
    }
}

/// Ends with `end`, after it was pending `n` times.
async fn ends(n: u32, end: Result<u32, u32>) -> Result<u32, u32> {
    yields(n).await;
    end
}

/// Holds one thing to its end, and gives the other.
async fn holds<T>(_held: DropToken, output: T) -> T {
    output
}

/// Counts the polls.
async fn counted<T>(polls: &Cell<u32>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
    .await
}

/// Has so much to do, and does as much of it in each poll as the budget still has.
async fn uses(budget: &Cell<u32>, mut work: u32) {
    poll_fn(|cx| {
        let done = work.min(budget.get());
        budget.set(budget.get() - done);
        work -= done;
        if work == 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Pending until its key opens it. Then it is ready with its number.
#[derive(Debug)]
struct Gate(usize, Arc<Mutex<Lock>>);

/// See [`Gate`].
struct Key(Arc<Mutex<Lock>>);

/// What a gate and its key share.
#[derive(Debug, Default)]
struct Lock {
    polls: u32,
    is_open: bool,
    waker: Option<Waker>,
}

fn gate(number: usize) -> (Gate, Key) {
    let lock = Arc::<Mutex<Lock>>::default();
    (Gate(number, lock.clone()), Key(lock))
}

fn gates(n: usize) -> (Vec<Gate>, Vec<Key>) {
    (0..n).map(gate).unzip()
}

impl Future for Gate {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let newest = cx.waker().clone();
        let mut lock = self.1.lock().unwrap();
        lock.polls += 1;
        let _older = lock.waker.replace(newest);
        let is_open = lock.is_open;
        drop(lock);
        if is_open { Poll::Ready(self.0) } else { Poll::Pending }
    }
}

impl Key {
    /// Opens the gate, and wakes whoever waits there, if anybody does.
    fn open(&self) {
        let mut lock = self.0.lock().unwrap();
        lock.is_open = true;
        let waker = lock.waker.clone();
        drop(lock);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The waker of the gate's latest poll.
    fn waker(&self) -> Waker {
        let waker = self.0.lock().unwrap().waker.clone();
        waker.unwrap_or_else(|| fail!("never-polled", "A child was not polled in the first poll."))
    }

    /// How often the gate was polled.
    fn polls(&self) -> u32 {
        self.0.lock().unwrap().polls
    }
}

/// How often all the gates were polled.
fn polls(keys: &[Key]) -> u32 {
    keys.iter().map(Key::polls).sum()
}

/// A list, and the wakers of its children.
fn list(children: usize) -> (Arc<WokenList>, Vec<Waker>) {
    let list = Arc::new(WokenList::default());
    let wakers = (0..children).map(|child| list.waker(child)).collect();
    (list, wakers)
}

/// The children that were woken since the last look.
fn look(list: &WokenList, parent: &Waker) -> Vec<usize> {
    let mut woken = Vec::new();
    list.look(parent, &mut woken);
    woken
}

/// Gets the children that were woken, in the middle of a look. Meanwhile another thread wakes somebody.
struct Wakes {
    waker: Waker,
    /// The other thread, from the first look on.
    other: Option<thread::JoinHandle<()>>,
}

impl Extend<usize> for Wakes {
    fn extend<T: IntoIterator<Item = usize>>(&mut self, woken: T) {
        woken.into_iter().for_each(drop);
        let waker = self.waker.clone();
        let ((begun, begins), (done, is_done)) = (mpsc::channel(), mpsc::channel());
        self.other = Some(thread::spawn(move || {
            let _ = begun.send(());
            waker.wake();
            let _ = done.send(());
        }));
        let _ = begins.recv();
        // Whoever waits for the lock is not done before the look is over.
        let _ = is_done.recv_timeout(Duration::from_millis(100));
    }
}

/// Asks a set for its next output, once.
fn ask<F: Future>(set: &mut Unordered<F>) -> Poll<Option<F::Output>> {
    set.poll_next(&mut Context::from_waker(Waker::noop()))
}

/// A parent that does something when it is told: on another thread, so that a lock that is held shows
/// as an answer that does not come, and not as the end of everything.
fn meddler(f: impl Fn() + Send + Sync + 'static) -> Waker {
    let f = Arc::new(f);
    waker_fn(move || {
        let (f, (answered, answer)) = (f.clone(), mpsc::channel());
        thread::spawn(move || {
            f();
            let _ = answered.send(());
        });
        if answer.recv_timeout(scaled(Duration::from_millis(300))).is_err() {
            fail!(
                "woken-under-lock",
                "While the parent was being told, another thread looked at the list, and had no answer for \
                 300 ms. It waits for a lock that is held until the parent has been told."
            );
        }
    })
}
