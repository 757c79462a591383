// The checks of chapter 11. `subject` is the code under examination.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::marker::PhantomPinned;
use std::panic::{self, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};

use under_await::ch05_handoff::oneshot;
use under_await::ch08_poll::{Direction, Registration, wait};
use under_await::ledger::{Ledger, watch};
use under_await::{waker_fn, yield_now};

use crate::support::heard::News;
use crate::support::schedules::{
    Orders, actor, every_order, in_one_step_with_the_next, note, points, wait_until,
};
use crate::support::{
    Bell, Drops, allocated_bytes, allocations, checks, ensure, fail, later, many, panics,
    self_wakes, times,
};

use subject::extend::{BUDGET, Crew, Nursery, unhurried};
use subject::{block_on, spawn};

checks! {
    /// What is ready at its first poll is not polled again, and its output is returned.
    "11.1" fn ready_at_once() {
        let polls = Cell::new(0);
        let output = run(watch("root", poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::Ready(7)
        })));
        let polls = polls.get();
        ensure!(output == 7, "wrong-result", "The future gave 7, and `block_on` {output}.");
        ensure!(polls == 1, "polled-after-ready", "It was ready at once, and polled {polls} times.");
    }

    /// A wake that comes during the poll leads to another poll.
    "11.2" fn a_wake_during_the_poll() {
        run(self_wakes(3));
    }

    /// So does one of another thread: during the poll, and later, when the thread sleeps.
    "11.2" fn a_wake_by_another_thread() {
        run(watch("root", async {
            woken_meanwhile().await;
            later(30).await;
        }));
    }

    /// However often it is woken before its next poll, that is one poll.
    "11.2" fn many_wakes_are_one_poll() {
        let polls = Cell::new(0);
        let mut rest = pin!(later(30));
        run(watch("root", poll_fn(|cx| {
            polls.set(polls.get() + 1);
            if polls.get() == 1 {
                (0..1000).for_each(|_| cx.waker().wake_by_ref());
                let waker = cx.waker().clone();
                thread::spawn(move || (0..1000).for_each(|_| waker.wake_by_ref())).join().unwrap();
                return Poll::Pending;
            }
            rest.as_mut().poll(cx).map(drop)
        })));
        let polls = polls.get();
        ensure!(
            polls <= 3,
            "busy-poll",
            "Woken 2,000 times during its first poll and once later, the future was polled \
             {polls} times; 3 are enough."
        );
    }

    /// A task that was not woken is not polled.
    "11.2" fn no_poll_without_a_wake() {
        let polls = Cell::new(0);
        let mut rest = pin!(later(50));
        run(poll_fn(|cx| {
            polls.set(polls.get() + 1);
            rest.as_mut().poll(cx).map(drop)
        }));
        let polls = polls.get();
        ensure!(polls <= 3, "busy-poll", "A wait of 50 ms took {polls} polls; 2 are enough.");
    }

    /// A task is polled though nobody awaits it.
    "11.3" fn runs_beside_the_root() {
        let done = Rc::new(Cell::new(0));
        let finish = done.clone();
        run(async move {
            drop(spawn(async move {
                for _ in 0..3 {
                    yield_now().await;
                    finish.set(finish.get() + 1);
                }
            }));
            give_way(50).await;
        });
        let done = done.get();
        ensure!(done == 3, "never-polled", "A task has 3 steps. After 50 turns of the root {done} were done.");
    }

    /// A task that is over is known to be over.
    "11.3" with "11.1" "11.2" fn an_end_is_known() {
        let (before, after) = run(async {
            let task = spawn(yield_now());
            let before = task.is_finished();
            give_way(50).await;
            (before, task.is_finished())
        });
        ensure!(
            (before, after) == (false, true),
            "stuck",
            "A task was ready at its second poll. `is_finished()` of its handle gave {before} before the first and \
             {after} long after the second. It looks at the state, which is `DONE` when the task is over: 11.1 says so."
        );
    }

    /// A task that is over is not polled again, whatever wakes come: in its last poll, or later.
    "11.3" with "11.1" "11.2" fn not_after_its_end() {
        let (polls, kept) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None::<Waker>)));
        let (count, keep) = (polls.clone(), kept.clone());
        let late = Rc::new(RefCell::new(None));
        let said = late.clone();
        let escaped = panics(|| run(async move {
            drop(spawn(poll_fn(move |cx| {
                count.set(count.get() + 1);
                cx.waker().wake_by_ref();
                cx.waker().wake_by_ref();
                keep.set(Some(cx.waker().clone()));
                if count.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
            })));
            give_way(50).await;
            let waker = kept.take().expect("it was polled");
            for _ in 0..2 {
                *said.borrow_mut() = panics(|| waker.wake_by_ref());
                if said.borrow().is_some() {
                    return;
                }
                give_way(10).await;
            }
            thread::spawn(move || waker.wake()).join().unwrap();
            give_way(100).await;
        }));
        if let Some(text) = late.take() {
            fail!(
                "panicked",
                "A waker was kept, and woken after its task was over. That panicked: {text}. Such a wake has \
                 nothing to do, and whoever makes it cannot know."
            );
        }
        let polls = polls.get();
        ensure!(
            escaped.is_none() && polls == 2,
            "polled-after-ready",
            "A task was ready at its second poll, and woken in it and later. {}",
            match escaped {
                Some(text) => format!(
                    "After its end it went into the queue again, and its turn ended in a panic: {text}. Whether a \
                     wake queues it is said by its state: 11.1 leaves one behind at the end, and 11.2 looks at it."
                ),
                None => format!("It was polled {polls}.", polls = times(polls)),
            }
        );
    }

    /// Woken in its poll, and once more before its next turn: that is one turn.
    "11.3" with "11.1" "11.2" fn woken_again_before_its_turn() {
        let (polls, kept) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None::<Waker>)));
        let (count, keep, find) = (polls.clone(), kept.clone(), kept);
        let escaped = panics(|| run(async move {
            drop(spawn(poll_fn(move |cx| {
                count.set(count.get() + 1);
                if count.get() == 1 {
                    cx.waker().wake_by_ref();
                    keep.set(Some(cx.waker().clone()));
                }
                if count.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
            })));
            // It has its turn between the two turns of the first.
            drop(spawn(async move { find.take().into_iter().for_each(Waker::wake) }));
            give_way(50).await;
        }));
        let polls = polls.get();
        ensure!(
            escaped.is_none() && polls == 2,
            "polled-after-ready",
            "A task woke itself in its first poll, and another one woke it before its second, which was ready. {}",
            match escaped {
                Some(text) => format!("It stood in the queue twice, and that ended in a panic: {text}."),
                None => format!("It was polled {polls}.", polls = times(polls)),
            }
        );
    }

    /// In no order of steps is a wake lost, and the poll after it sees what was done before it.
    "11.3" with "11.1" "11.2" fn every_order_of_two_wakes() {
        // Nothing to play: std's own atomics do not stop for us.
        let probe = async {
            drop(spawn(yield_now()));
            yield_now().await;
        };
        if points(|| block_on(probe)) == 0 {
            return;
        }
        Ledger::close();
        let as_known = play_a_task(News::is_known);
        let as_done = if as_known.bad.is_empty() { return } else { play_a_task(News::is_done) };
        for (orders, known) in [(as_done, false), (as_known, true)] {
            let Some(order) = orders.example() else { continue };
            let seen = orders.tally("goes wrong", "go wrong");
            let is = |what| order.why.as_ref().is_some_and(|why| why.contains(what));
            ensure!(!is(TOO_OFTEN), "busy-poll", "{seen}. One of them:\n\n{order}");
            ensure!(known || is(FORGOTTEN), "panicked", "{seen}. One of them:\n\n{order}");
            ensure!(known, "lost-wake", "{seen}. One of them:\n\n{order}");
            fail!(
                "unseen",
                "The wake arrives, and what was done before it need not be seen: it was not handed on. \
                 So the last poll answers `Pending`. {seen}. One of them:\n\n{order}"
            );
        }
    }

    /// A task that wakes itself goes to the end of the queue.
    "11.3" fn each_in_its_turn() {
        let (mine, theirs) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (count, seen) = (mine.clone(), theirs.clone());
        run(async move {
            drop(spawn(async move {
                while count.get() < 1000 {
                    count.set(count.get() + 1);
                    yield_now().await;
                }
            }));
            drop(spawn(async move { seen.set(mine.get()) }));
            give_way(50).await;
        });
        let theirs = theirs.get();
        ensure!(
            (1..=10).contains(&theirs),
            "waits-for-one",
            "Two tasks. Before the second one was polled, the first one had {theirs} turns; needed is 1."
        );
    }

    /// A task may spawn while it is polled.
    "11.3" fn a_task_may_spawn() {
        let (done, panicked) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None)));
        let (finish, note) = (done.clone(), panicked.clone());
        run(async move {
            drop(spawn(async move {
                *note.borrow_mut() = panics(|| drop(spawn(async move { finish.set(true) })));
            }));
            give_way(50).await;
        });
        let panicked = panicked.take();
        ensure!(panicked.is_none(), "panicked", "A task called `spawn`, and it panicked: {panicked:?}.");
        ensure!(done.get(), "never-polled", "A task has spawned another one, and that one never ran.");
    }

    /// A panic ends the task it happens in. The others go on, and the root does.
    "11.3" fn a_panic_stays_in_its_task() {
        let (done, over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let (finish, see) = (done.clone(), over.clone());
        let escaped = panics(|| run(async move {
            let task = spawn(async { panic!("one task") });
            drop(spawn(async move {
                for _ in 0..3 {
                    yield_now().await;
                    finish.set(finish.get() + 1);
                }
            }));
            give_way(50).await;
            see.set(task.is_finished());
        }));
        let done = done.get();
        ensure!(
            escaped.is_none() && done == 3,
            "panicked",
            "One of two tasks panicked. Of the 3 steps of the other one {done} were done, and the \
             panic {}.",
            if escaped.is_some() { "came out of `block_on`" } else { "stayed inside" }
        );
        ensure!(
            over.get(),
            "stuck",
            "A task panicked, and it is not over: `is_finished()` of its handle says so. Whoever awaits it \
             waits for ever."
        );
    }

    /// When the root is ready, the tasks that are left are dropped.
    "11.3" fn the_end_drops_the_rest() {
        let drops = Drops::default();
        let (one, two) = (drops.token(), drops.token());
        run(watch("root", async move {
            drop(spawn(hold(one)));
            yield_now().await;
            drop(spawn(hold(two)));
        }));
        let dropped = drops.count();
        ensure!(
            dropped == 2,
            "leak",
            "Two tasks were left when the root was ready, and {dropped} of them were dropped."
        );
    }

    /// A handle is a future of what its task returns, even when the task is over already.
    "11.4" fn gives_the_output() {
        let (soon, over) = run(watch("root", async {
            let over = spawn(ready(7));
            let soon = spawn(async {
                later(10).await;
                8
            }).await;
            (soon.ok(), over.await.ok())
        }));
        ensure!(
            (soon, over) == (Some(8), Some(7)),
            "wrong-result",
            "Two tasks returned 8 and 7, and their handles gave {soon:?} and {over:?}."
        );
    }

    /// What a task panicked with is in its error.
    "11.4" with "11.3" fn gives_the_panic() {
        let given = Rc::new(RefCell::new("nothing".to_owned()));
        let found = given.clone();
        let escaped = panics(|| run(async move {
            *found.borrow_mut() = match spawn(async { panic::panic_any(42_u32) }).await {
                Ok(()) => "an output".to_owned(),
                Err(error) if !error.is_panic() => "an error that knows of no panic".to_owned(),
                Err(error) => match error.into_panic().downcast::<u32>() {
                    Ok(payload) => payload.to_string(),
                    Err(_) => "a payload of another type".to_owned(),
                },
            };
        }));
        let given = given.take();
        ensure!(
            escaped.is_none() && given == "42",
            "wrong-result",
            "A task panicked with the `u32` 42, and its handle gave {given}."
        );
    }

    /// To await a task is no reason to poll it.
    "11.4" fn awaiting_wakes_nobody() {
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let bells = [Bell::new(), Bell::new()];
        let rung = run(async move {
            let mut task = pin!(spawn(poll_fn(move |_| {
                count.set(count.get() + 1);
                Poll::<()>::Pending
            })));
            for (_, waker) in bells.iter().cycle().take(6) {
                let _ = task.as_mut().poll(&mut Context::from_waker(waker));
                give_way(2).await;
            }
            bells.iter().map(|(bell, _)| bell.rung()).sum::<u32>()
        });
        let polls = polls.get();
        ensure!(
            (polls, rung) == (1, 0),
            "busy-poll",
            "A handle was polled 6 times while its task was waiting. The task was polled {polls}, and \
             whoever awaited it was woken {rung}; needed are 1 and 0.",
            rung = times(rung), polls = times(polls)
        );
    }

    /// Of the wakers of two polls, the one of the second is woken.
    "11.4" fn wakes_the_newest() {
        let ((first, old), (second, new)) = (Bell::new(), Bell::new());
        run(async move {
            let mut handle = pin!(spawn(yield_now()));
            for waker in [&old, &new, &new] {
                let _ = handle.as_mut().poll(&mut Context::from_waker(waker));
            }
            give_way(50).await;
        });
        let (first, second) = (first.rung(), second.rung());
        ensure!(
            (first, second) != (0, 0),
            "never-woken",
            "A handle was polled with one waker, and then twice with another. When its task was over, it woke \
             neither: what waited there was not told."
        );
        ensure!(
            (first, second) == (0, 1),
            "old-waker",
            "A handle was polled with one waker, and then twice with another. When its task was over, it \
             woke the first {first} and the second {second}; needed are 0 and 1.",
            second = times(second), first = times(first)
        );
    }

    /// An aborted task is dropped, and its handle says so.
    "11.4" fn aborted_is_cancelled() {
        let drops = Drops::default();
        let token = drops.token();
        let cancelled = run(watch("root", async move {
            let task = spawn(hold(token));
            yield_now().await;
            task.abort();
            task.await.is_err_and(|error| error.is_cancelled())
        }));
        let dropped = drops.count();
        ensure!(dropped == 1, "leak", "A task was aborted, and its future dropped {dropped} times.");
        ensure!(cancelled, "wrong-result", "A task was aborted, and its handle gave something else.");
    }

    /// A result is there once.
    "11.4" fn gives_no_second_answer() {
        let again = panics(|| run(async {
            let mut handle = pin!(spawn(ready(7)));
            let _ = handle.as_mut().await;
            let _ = handle.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }));
        ensure!(
            again.is_some(),
            "answered-twice",
            "A handle that had given its result was polled again, and did not panic."
        );
    }

    /// The future, and what its wakers share, are one allocation.
    "11.5" fn one_allocation_each() {
        let mut crew = Crew::default();
        // The lists grow before it counts.
        (0..300).for_each(|_| crew.spawn(hold([0_u8; 100])));
        crew.run();
        let mut count = 0;
        for _ in 0..100 {
            count += allocations(|| {
                crew.spawn(hold([0_u8; 100]));
                crew.run();
            });
        }
        ensure!(count <= 110, "allocates", "100 tasks took {count} allocations; 100 are needed.");
    }

    /// A task that wakes itself is polled again, in the place where it was.
    "11.5" fn stays_in_its_place() {
        let (places, drops) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
        let mut crew = Crew::default();
        for _ in 0..3 {
            let (places, drops) = (places.clone(), drops.clone());
            crew.spawn(Placed { places, drops, left: 3, pinned: PhantomPinned });
        }
        crew.run();
        let places = places.take();
        let mut distinct = places.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let (polls, distinct) = (places.len(), distinct.len());
        ensure!(polls == 12, "lost-wake", "3 futures want 4 polls each, and there were {polls}.");
        ensure!(distinct == 3, "moved", "3 futures were polled in {distinct} places.");
        let drops = drops.take();
        let elsewhere = drops.iter().filter(|place| !places.contains(place)).count();
        ensure!(
            elsewhere == 0,
            "moved",
            "Of 3 futures {elsewhere} were dropped elsewhere than where they had been polled."
        );
    }

    /// A future goes when it is ready, and not with the last of its wakers.
    "11.5" fn dropped_when_it_is_ready() {
        let drops = Drops::default();
        let kept = Rc::new(RefCell::new(Vec::new()));
        let mut crew = Crew::default();
        for _ in 0..3 {
            let (token, keep) = (drops.token(), kept.clone());
            crew.spawn(poll_fn(move |cx| {
                let _token = &token;
                keep.borrow_mut().push(cx.waker().clone());
                Poll::Ready(())
            }));
        }
        crew.run();
        let dropped = drops.count();
        kept.take().into_iter().for_each(Waker::wake);
        crew.run();
        ensure!(
            dropped == 3,
            "leak",
            "3 tasks are over, their wakers are kept, and {dropped} of the futures were dropped."
        );
        drop(crew);
        let dropped = drops.count();
        ensure!(
            dropped == 3,
            "crashed",
            "3 futures were dropped when they were ready, and some of them once more with the crew: \
             {dropped} drops in all."
        );
    }

    /// With the crew, and the last waker, all of it goes.
    "11.5" fn leaves_nothing_behind() {
        let before = allocated_bytes();
        let mut crew = Crew::default();
        for i in 0..100 {
            let owned = vec![i; 100];
            crew.spawn(async move {
                for _ in 0..owned[0] % 3 {
                    yield_now().await;
                }
            });
        }
        crew.run();
        drop(crew);
        let left = allocated_bytes() - before;
        ensure!(
            left < 1000,
            "leak",
            "100 tasks are over, and their crew is gone: {left} bytes of them are left."
        );
    }

    /// What is not ready is there for the next poll.
    "11.5" fn waits_for_its_wake() {
        let (drops, waker) = (Drops::default(), Arc::new(Mutex::new(None::<Waker>)));
        let (token, leave) = (drops.token(), waker.clone());
        let mut crew = Crew::default();
        let mut polls = 0;
        crew.spawn(poll_fn(move |cx| {
            let _token = &token;
            *leave.lock().unwrap() = Some(cx.waker().clone());
            polls += 1;
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        crew.run();
        let early = drops.count();
        let waker = waker.lock().unwrap().take();
        let waker = waker.expect("the future has left its waker");
        thread::spawn(move || waker.wake()).join().unwrap();
        crew.run();
        let late = drops.count();
        ensure!(early == 0, "freed-too-early", "A pending future was dropped.");
        ensure!(late == 1, "lost-wake", "Woken by another thread, the task was not polled to its end.");
    }

    /// A stream that is always ready lets others have their turn.
    "11.6" fn starves_nobody() {
        let taken = Rc::new(Cell::new(0_u32));
        let (count, seen) = (taken.clone(), Rc::new(Cell::new(0)));
        let see = seen.clone();
        run(async move {
            drop(spawn(async move {
                let mut stream = unhurried(stream::iter(0..100_000));
                while stream.next().await.is_some() {
                    count.set(count.get() + 1);
                }
            }));
            drop(spawn(async move { see.set(taken.get()) }));
            give_way(50).await;
        });
        let seen = seen.get();
        ensure!(
            seen <= BUDGET,
            "waits-for-one",
            "Beside a task that took {seen} items in a row another one waited; {BUDGET} are allowed."
        );
    }

    /// A stream that lets others in has seen to it that it goes on.
    "11.6" fn asks_for_its_next_turn() {
        let (bell, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        let mut stream = unhurried(stream::iter(0..1000));
        let mut given = 0;
        while stream.poll_next_unpin(&mut cx).is_ready() {
            given += 1;
            ensure!(given <= BUDGET, "waits-for-one", "It gave {given} items in a row; {BUDGET} are allowed.");
        }
        let rung = bell.rung();
        ensure!(
            rung > 0,
            "never-woken",
            "After {given} it was pending, and woke nobody.",
            given = many(given, "item")
        );
        let next = stream.poll_next_unpin(&mut cx);
        ensure!(
            next == Poll::Ready(Some(given)),
            "data-lost",
            "After {items} and a turn of others the next one is {given}, and it gave {next:?}.",
            items = many(given, "item")
        );
    }

    /// After each turn of others it has the whole budget again, and at its end it keeps nobody waiting.
    "11.6" fn each_time_the_whole_budget() {
        let (bell, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        let mut stream = unhurried(stream::iter(0..1000));
        let (mut rows, mut row) = (Vec::new(), 0);
        loop {
            match stream.poll_next_unpin(&mut cx) {
                Poll::Ready(Some(_)) => row += 1,
                Poll::Ready(None) => break,
                Poll::Pending => rows.push(std::mem::take(&mut row)),
            }
            ensure!(rows.len() < 20, "wrong-result", "Items in a row, between two turns of others: {rows:?}.");
        }
        let rung = bell.rung();
        ensure!(
            rows == [BUDGET; 7] && row == 1000 - 7 * BUDGET,
            "wrong-result",
            "1,000 items were given out in rows of {rows:?} and {row}; the budget is {BUDGET}."
        );
        ensure!(
            rung == 7,
            "busy-poll",
            "It let others in 7 times, and woke itself {rung}.",
            rung = times(rung)
        );
    }

    /// A stream that has waited has let others in already.
    "11.6" fn waiting_is_no_hurry() {
        let (bell, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        let mut polls = 0;
        let mut stream = unhurried(stream::poll_fn(move |_| {
            polls += 1;
            if polls % 100 == 0 { Poll::Pending } else { Poll::Ready(Some(polls)) }
        }));
        let mut pendings = 0;
        for _ in 0..1000 {
            pendings += u32::from(stream.poll_next_unpin(&mut cx).is_pending());
        }
        let rung = bell.rung();
        ensure!(
            (rung, pendings) == (0, 10),
            "busy-poll",
            "A stream that was pending 10 times of 1,000, so never ready {BUDGET} times in a row, was \
             pending {pendings} and woke its task {rung}; 10 and 0 are needed.",
            rung = times(rung), pendings = times(pendings)
        );
    }

    /// A child may bring in another one.
    "11.7" fn a_child_may_adopt() {
        let (nursery, order) = (Rc::new(Nursery::default()), Rc::new(RefCell::new(Vec::new())));
        let (inside, write) = (nursery.clone(), order.clone());
        nursery.adopt(async move {
            write.borrow_mut().push("first");
            let later = write.clone();
            let child = async move { later.borrow_mut().push("second") };
            let panicked = panics(|| inside.adopt(child));
            ensure!(panicked.is_none(), "panicked", "A child called `adopt`, and it panicked: {panicked:?}.");
            yield_now().await;
            write.borrow_mut().push("third");
        });
        run(watch("nursery", nursery.run()));
        let order = order.take();
        ensure!(
            order == ["first", "second", "third"],
            "out-of-step",
            "One child, and one that it brings in: {order:?}."
        );
    }

    /// A child that comes meanwhile is polled in the same turn: nobody else will poll it.
    "11.7" fn a_child_may_wait_for_one_that_it_adopts() {
        let nursery = Rc::new(Nursery::default());
        let (inside, (sender, receiver)) = (nursery.clone(), oneshot());
        nursery.adopt(async move {
            inside.adopt(async move { let _ = sender.send(7); });
            let _ = receiver.await;
        });
        run(watch("nursery", nursery.run()));
    }

    /// In the order in which they came, and each until it is over.
    "11.7" fn every_child_in_order() {
        let (nursery, order) = (Nursery::default(), Rc::new(RefCell::new(String::new())));
        for name in ['a', 'b', 'c'] {
            let order = order.clone();
            nursery.adopt(async move {
                for _ in 0..=name as u32 - 'a' as u32 {
                    order.borrow_mut().push(name);
                    yield_now().await;
                }
            });
        }
        run(watch("nursery", nursery.run()));
        let order = order.take();
        ensure!(order == "abcbcc", "out-of-step", "Three children with 1, 2 and 3 steps: {order}.");
    }

    /// So are the children it brings in, and all stand in line in the order in which they came.
    "11.7" fn five_generations() {
        let (nursery, order) = (Rc::new(Nursery::default()), Rc::new(RefCell::new(String::new())));
        nursery.adopt(generation(nursery.clone(), order.clone(), 1));
        run(watch("nursery", nursery.run()));
        let order = order.take();
        ensure!(
            order == "1234512345",
            "out-of-step",
            "Each of five children but the last brings in the next one in its first poll, and wants a second \
             poll. Needed is 1234512345, and it was {order}."
        );
    }

    /// A child that only waits is not polled meanwhile.
    "11.7" fn waits_with_its_children() {
        let (nursery, polls) = (Nursery::default(), Cell::new(0));
        nursery.adopt(async { later(30).await; });
        let mut children = pin!(nursery.run());
        run(watch("nursery", poll_fn(|cx| {
            polls.set(polls.get() + 1);
            children.as_mut().poll(cx)
        })));
        let polls = polls.get();
        ensure!(polls <= 3, "busy-poll", "Its one child waited for 30 ms, in {polls} polls; 2 are enough.");
    }

    /// Nor does a child that is dropped find anything locked.
    "11.7" fn a_child_may_adopt_as_it_goes() {
        let nursery = Rc::new(Nursery::default());
        let (drops, inside) = (Drops::default(), nursery.clone());
        let token = drops.token();
        nursery.adopt(async move {
            let _adopt = Adopts(inside, Cell::new(Some(token)));
            yield_now().await;
        });
        run(watch("nursery", nursery.run()));
        let dropped = drops.count();
        ensure!(dropped == 1, "never-polled", "A child brought in another one as it went, and that one did not run.");
    }
}

/// As `block_on`. The pipe of the reactor is made before: it is no part of the story.
fn run<F: IntoFuture>(future: F) -> F::Output {
    let ledger = Ledger::current();
    Ledger::close();
    let _ = wait(Some(Duration::ZERO), || true);
    ledger.inspect(Ledger::attach);
    block_on(future)
}

/// So many turns for the others.
async fn give_way(turns: u32) {
    for _ in 0..turns {
        yield_now().await;
    }
}

/// Never ready, and owns something.
async fn hold<T>(owned: T) {
    let _owned = owned;
    pending().await
}

/// Brings in the next generation, and comes once more.
async fn generation(nursery: Rc<Nursery>, order: Rc<RefCell<String>>, number: u32) {
    order.borrow_mut().push_str(&number.to_string());
    if number < 5 {
        // A future whose type names itself needs the box.
        let next: Pin<Box<dyn Future<Output = ()>>> =
            Box::pin(generation(nursery.clone(), order.clone(), number + 1));
        nursery.adopt(next);
    }
    yield_now().await;
    order.borrow_mut().push_str(&number.to_string());
}

/// What is said of a task that is woken and not polled, and of one that is polled too often.
const FORGOTTEN: &str = "the task is not polled again";
const TOO_OFTEN: &str = "polls, of which 3 are enough";

/// Plays a task that two threads make ready, each with a wake. `seen` says whether a poll sees what a
/// thread has done.
fn play_a_task(seen: fn(&News) -> bool) -> Orders {
    every_order(move || {
        let news = Arc::new([News::default(), News::default()]);
        let slots = [(); 2].map(|()| Arc::new(Mutex::new(None::<Waker>)));
        let woken = Arc::new(AtomicU32::new(0));
        let runtime = actor("runtime", {
            let (news, slots, woken) = (news.clone(), slots.clone(), woken.clone());
            move || {
                let escaped = panics(|| {
                    let _stops = StopsTheClock;
                    block_on(one_task(news, slots, woken, seen));
                });
                // The order goes wrong, and the check goes on.
                if let Some(text) = escaped {
                    resume_unwind(Box::new(text) as Box<dyn Any + Send>);
                }
            }
        });
        let wakers = ["one", "other"].into_iter().zip(slots).enumerate().map(|(n, (name, slot))| {
            let (news, woken) = (news.clone(), woken.clone());
            actor(name, move || {
                let kept = slot.clone();
                wait_until("make it ready", move || kept.lock().unwrap().is_some());
                news[n].done();
                in_one_step_with_the_next();
                slot.lock().unwrap().take().expect("it is there").wake();
                woken.fetch_add(1, Ordering::SeqCst);
            })
        });
        [runtime].into_iter().chain(wakers).collect()
    })
}

/// The root of the play: a task leaves its waker for both threads, and is ready when it sees what they
/// have done. Until the clock ends the play, the root is pending.
async fn one_task(
    news: Arc<[News; 2]>,
    slots: [Arc<Mutex<Option<Waker>>>; 2],
    woken: Arc<AtomicU32>,
    seen: fn(&News) -> bool,
) {
    let (polls, done) = (Rc::new(Cell::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, finish) = (polls.clone(), done.clone());
    let (mut begun, over) = (false, Arc::new(AtomicBool::new(false)));
    let ended = over.clone();
    drop(spawn(poll_fn(move |cx| {
        count.set(count.get() + 1);
        if count.get() == 1 {
            slots.iter().for_each(|slot| *slot.lock().unwrap() = Some(cx.waker().clone()));
        }
        let ready = news.iter().all(seen);
        note(if ready { "poll → Ready" } else { "poll → Pending" });
        finish.store(ready, Ordering::SeqCst);
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })));
    poll_fn(|cx| {
        if !std::mem::replace(&mut begun, true) {
            start_the_clock(cx.waker().clone(), woken.clone(), done.clone(), over.clone());
        }
        if ended.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let polls = polls.get();
    let wrong = |why: String| resume_unwind(Box::new(why) as Box<dyn Any + Send>);
    if !done.load(Ordering::SeqCst) {
        wrong(FORGOTTEN.to_owned());
    }
    if polls > 3 {
        wrong(format!("{polls} {TOO_OFTEN}"));
    }
}

/// A descriptor that is always ready, and whom the reactor wakes for it: in every sleep of a played
/// runtime, which would not stop for the others by itself.
type Clock = (Registration, std::io::PipeReader, Waker);

thread_local! {
    static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

/// From now on a sleep of this thread is a point of the play. The first one lasts until one of the two
/// has woken the task, the second until both have. At the third nothing more can come, and the root ends.
fn start_the_clock(root: Waker, woken: Arc<AtomicU32>, done: Arc<AtomicBool>, over: Arc<AtomicBool>) {
    let sleeps = AtomicU32::new(0);
    let ticks = waker_fn(move || {
        wind_the_clock();
        let slept = sleeps.fetch_add(1, Ordering::SeqCst);
        if done.load(Ordering::SeqCst) || slept == 2 {
            over.store(true, Ordering::SeqCst);
            return root.wake_by_ref();
        }
        // If the play ends here, the runtime contains the panic that says so.
        let _root = EndsInAPanic(&root, &over);
        let woken = woken.clone();
        wait_until("sleep", move || woken.load(Ordering::SeqCst) > slept);
    });
    let (reader, writer) = std::io::pipe().expect("a pipe costs two descriptors");
    // Its end is there as soon as the writer is gone, and stays.
    drop(writer);
    let registration = Registration::new(&reader).expect("the reactor watches it");
    CLOCK.set(Some((registration, reader, ticks)));
    wind_the_clock();
}

fn wind_the_clock() {
    CLOCK.with_borrow(|clock| {
        let (registration, _, ticks) = clock.as_ref().expect("it was started");
        let cx = &mut Context::from_waker(ticks);
        registration.wait_for(Direction::Read, cx).expect("the reactor watches it");
    });
}

/// Ends the clock of this thread when it is dropped.
struct StopsTheClock;

impl Drop for StopsTheClock {
    fn drop(&mut self) {
        drop(CLOCK.take());
    }
}

/// Ends the root when it is dropped in a panic.
struct EndsInAPanic<'a>(&'a Waker, &'a AtomicBool);

impl Drop for EndsInAPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.1.store(true, Ordering::SeqCst);
            self.0.wake_by_ref();
        }
    }
}

/// Pending once, and woken by another thread before that poll returns.
async fn woken_meanwhile() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        let (waker, woken) = (cx.waker().clone(), Arc::new(Barrier::new(2)));
        let there = woken.clone();
        thread::spawn(move || {
            waker.wake();
            there.wait();
        });
        woken.wait();
        Poll::Pending
    })
    .await;
}

/// Writes down where it is polled and dropped, and must not be moved.
struct Placed {
    places: Rc<RefCell<Vec<usize>>>,
    drops: Rc<RefCell<Vec<usize>>>,
    left: u32,
    pinned: PhantomPinned,
}

impl Future for Placed {
    type Output = ();

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        this.places.borrow_mut().push(std::ptr::from_ref(this).addr());
        if this.left == 0 {
            return Poll::Ready(());
        }
        this.left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let place = std::ptr::from_ref(self).addr();
        self.drops.borrow_mut().push(place);
    }
}

/// Brings in a child when it is dropped.
struct Adopts<T: 'static>(Rc<Nursery>, Cell<Option<T>>);

impl<T> Drop for Adopts<T> {
    fn drop(&mut self) {
        let owned = self.1.take();
        self.0.adopt(async move { drop(owned) });
    }
}
