// The checks of chapter 16. `subject` is the code under examination.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::{pending, ready};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use under_await::ch01_future::yield_now;
use under_await::ch04_park::block_on;
use under_await::ch05_handoff::{Receiver, Sender, oneshot};
use under_await::ch08_poll::wait;
use under_await::ch09_timer::pending_timers;
use under_await::ch11_task::{self, JoinError, spawn};
use under_await::ch13_race::race;
use under_await::ledger::watch;

use crate::support::exam::Asleep;
use crate::support::schedules::{Actor, actor, every_order, pass_free_locks, wait_until};
use crate::support::{
    Bell, DropToken, Drops, Ledger, checks, ensure, fail, if_it_sleeps, many, panics, scaled, times,
};

use subject::extend::{Draining, Job, LeastLoaded, OneQueue, Queue};
use subject::{Pool, or_abort};

checks! {
    /// The task is over before its end is ordered: what came of it is there at once.
    "16.1" fn the_task_may_be_first() {
        if_it_sleeps(|| (
            "stuck",
            "The task is over, and its outcome is not given out: something else is waited for.",
        ));
        let output = alone(async {
            or_abort(spawn(async { yield_now().await; 7 }), pending::<()>()).await
        });
        ensure!(
            output == End::Output(7),
            "wrong-result",
            "A task gave 7, and nobody ordered its end. What came of it: {output}."
        );
        let panicked: End<()> = alone(async {
            or_abort(spawn(async { resume_unwind(Box::new("oh")) }), pending::<()>()).await
        });
        ensure!(
            panicked == End::Panic("oh"),
            "wrong-result",
            "A task panicked with \"oh\", and nobody ordered its end. What came of it: {panicked}."
        );
    }

    /// The end comes first, and the task is dropped: then its outcome is there.
    "16.1" fn the_end_may_be_first() {
        if_it_sleeps(|| (
            "still-there",
            "The end has come, and the task is waited for. Nobody has told it, so it is not over.",
        ));
        let drops = Drops::default();
        let token = drops.token();
        let outcome = alone(async {
            let end = async {
                yield_now().await;
                yield_now().await;
            };
            or_abort(spawn(hold(token)), end).await
        });
        let dropped = drops.count();
        ensure!(
            outcome == End::Cancelled,
            "wrong-result",
            "The end of a task that waits was ordered. What came of it: {outcome}."
        );
        ensure!(dropped == 1, "still-there", "A task was aborted, and dropped {}.", times(dropped));
    }

    /// A task that is over stays as it is, whatever is ordered then.
    "16.1" fn what_is_over_stays() {
        let outcome = alone(async {
            let task = spawn(ready(8));
            yield_now().await;
            or_abort(task, ready(())).await
        });
        ensure!(
            outcome == End::Output(8),
            "wrong-result",
            "A task had given 8 before its end was ordered. What came of it: {outcome}."
        );
    }

    /// To drop the wait for a task does nothing to the task.
    "16.1" fn dropped_it_aborts_nothing() {
        quiet(|| ("stuck", "A task was to send something. It has neither sent it, nor is it over."));
        let got = ch11_task::block_on(async {
            let (sender, receiver) = oneshot();
            let task = spawn(async {
                yield_now().await;
                let _ = sender.send(7);
            });
            race(or_abort(task, pending::<()>()), yield_now()).await;
            receiver.await.ok()
        });
        ensure!(
            got == Some(7),
            "lost-progress",
            "A task was to send 7. Nobody ordered its end: `or_abort` was dropped before, and that leaves the \
             task to itself. What came of the 7: {got:?}."
        );
    }

    /// A future is made, polled and dropped on one thread, and so it may have an `Rc`.
    "16.2" with "16.1" fn made_polled_and_dropped_there() {
        quiet(NO_ANSWER);
        let pool = pool(3);
        let threads = [0, 1, 2].map(|worker| {
            let diary = Diary::default();
            let ((wake, woken), (never, still)) = (oneshot(), oneshot::<()>());
            let (begun, begins) = mpsc::channel();
            let task = |until: Receiver<()>| {
                let (diary, begun) = (diary.clone(), begun.clone());
                pool.spawn_on(worker, move || {
                    let mut page = diary.page();
                    async move {
                        for _ in 0..3 {
                            page.polled();
                            yield_now().await;
                        }
                        let _ = begun.send(());
                        let _ = until.await;
                        page.polled();
                    }
                })
            };
            let (one, other) = (task(woken), task(still));
            (0..2).for_each(|_| arrival(&begins));
            let _ = wake.send(());
            let one = end_of(one, "A task was over");
            quiet(NOT_WOKEN);
            other.abort();
            let other = end_of(other, "A task was aborted");
            drop(never);
            quiet(NO_ANSWER);
            ensure!(
                (&one, &other) == (&End::Output(()), &End::Cancelled),
                "wrong-result",
                "Of two tasks, one came to its end and the other was aborted. What came of them: {one}, \
                 and {other}."
            );
            diary.thread(worker)
        });
        let distinct = BTreeSet::from_iter(threads.map(|thread| format!("{thread:?}"))).len();
        ensure!(
            distinct == 3,
            "wrong-result",
            "`spawn_on` was called with 0, 1 and 2. The tasks were on {}; needed are 3.",
            many(distinct, "thread")
        );
    }

    /// There is no thread of a number that is too high.
    "16.2" fn a_thread_that_there_is() {
        quiet(NO_ANSWER);
        let pool = pool(3);
        let panic = panics(|| drop(pool.spawn_on(3, || ready(()))));
        ensure!(
            panic.is_some(),
            "wrong-result",
            "The threads of a pool have the numbers 0, 1 and 2, and `spawn_on` was called with 3. It did not \
             panic."
        );
    }

    /// Each thread gets as many tasks as any other.
    "16.2" with "16.1" fn in_turn() {
        quiet(NO_ANSWER);
        let pool = pool(4);
        let handles = (0..1_000).map(|_| pool.spawn(|| async { thread::current().id() }));
        let handles = handles.collect::<Vec<_>>();
        let mut counts = Vec::<(ThreadId, usize)>::new();
        for handle in handles {
            let End::Output(thread) = end_of(handle, "A task was over") else {
                fail!("wrong-result", "Of 1,000 tasks that come to their end one gave no output.");
            };
            match counts.iter_mut().find(|(known, _)| *known == thread) {
                Some((_, count)) => *count += 1,
                None => counts.push((thread, 1)),
            }
        }
        let counts = counts.into_iter().map(|(_, count)| count).collect::<Vec<_>>();
        ensure!(
            counts == [250; 4],
            "wrong-result",
            "1,000 tasks on 4 threads: {counts:?}. They take turns, so it is 250 on each."
        );
    }

    /// What a task spawns stays with it.
    "16.2" with "16.1" fn children_stay() {
        quiet(NO_ANSWER);
        let pool = pool(2);
        for worker in 0..2 {
            let family = pool.spawn_on(worker, || async {
                let one = Rc::new(thread::current().id());
                let shared = one.clone();
                let child = spawn(async move { *shared == thread::current().id() });
                child.await.unwrap_or(false)
            });
            let together = end_of(family, "A task with a child was over");
            ensure!(
                together == End::Output(true),
                "moved",
                "A task spawned a child, and that said whether both are on one thread: {together}."
            );
        }
    }

    /// The tasks of a thread run beside each other, whether or not anybody awaits them.
    "16.2" with "16.1" fn side_by_side() {
        quiet(|| (
            "waits-for-one",
            "A task waits for one that was spawned after it on the same thread. That one does not come.",
        ));
        let (pool, (sender, receiver)) = (pool(1), oneshot());
        let first = pool.spawn_on(0, || async { receiver.await.ok() });
        drop(pool.spawn_on(0, || async {
            yield_now().await;
            let _ = sender.send(7);
        }));
        let got = end_of(first, "A task was over");
        ensure!(
            got == End::Output(Some(7)),
            "lost-progress",
            "A task was to send 7. Its handle was dropped, and that leaves it to itself. Another one \
             waited for the 7: {got}."
        );
    }

    /// A panic is the answer to one handle, whether `make` panics or the future; nobody else hears it.
    "16.2" with "16.1" fn one_panics_alone() {
        quiet(NO_ANSWER);
        let (pool, (go, waits)) = (pool(1), oneshot());
        let other = pool.spawn_on(0, || async { waits.await.ok() });
        let made = pool.spawn_on(0, || {
            if true {
                resume_unwind(Box::new("made"));
            }
            ready(())
        });
        let made = end_where_threads_live(pool, made, "`make` panicked");
        ensure!(
            made == End::Panic("made"),
            "wrong-result",
            "`make` panicked with \"made\". What came of the task: {made}."
        );
        let polled = in_spite_of("`make` panicked", || {
            pool.spawn_on(0, || async { resume_unwind(Box::new("polled")) })
        });
        let polled: End<()> = end_of(polled, "A future panicked");
        ensure!(
            polled == End::Panic("polled"),
            "wrong-result",
            "A future panicked with \"polled\". What came of the task: {polled}."
        );
        let next = in_spite_of("A task panicked", || pool.spawn_on(0, || ready(7)));
        let next = end_of(next, "Two tasks of a thread had panicked, and the next one was over");
        let _ = go.send(8);
        let other = end_of(other, "Two tasks of a thread had panicked, and another one went on");
        ensure!(
            (&next, &other) == (&End::Output(7), &End::Output(Some(8))),
            "wrong-result",
            "Two tasks of a thread panicked. The next one should give 7, and another one, which was \
             there before, `Some(8)`. What came of them: {next}, and {other}."
        );
    }

    /// An abort is heard while the task waits: it is dropped, and its handle is told.
    "16.2" with "16.1" fn an_abort_is_heard() {
        quiet(NO_ANSWER);
        let (pool, drops, (begun, begins)) = (pool(1), Drops::default(), mpsc::channel());
        let (go, waits) = oneshot();
        let other = pool.spawn_on(0, || async { waits.await.ok() });
        let token = drops.token();
        let task = pool.spawn_on(0, move || async move {
            let _ = begun.send(());
            hold(token).await;
        });
        arrival(&begins);
        // By now it waits: what is spawned later is polled later.
        end_of(pool.spawn_on(0, || ready(())), "A task was over");
        quiet(NOT_WOKEN);
        task.abort();
        let aborted = end_of(task, "A task that waited was aborted");
        let dropped = drops.count();
        ensure!(
            aborted == End::Cancelled,
            "wrong-result",
            "A task that waited was aborted. What came of it: {aborted}."
        );
        ensure!(
            dropped == 1,
            "still-there",
            "A task was aborted, and its handle had an answer. Its future was dropped {}.",
            times(dropped)
        );
        quiet(|| ("stuck", "A task was aborted, and another one of its thread does not go on."));
        let _ = go.send(8);
        let other = end_of(other, "Another task was aborted, and this one went on");
        ensure!(
            other == End::Output(Some(8)),
            "wrong-result",
            "A task was aborted. What came of another one, which should give `Some(8)`: {other}."
        );
    }

    /// Aborted before it has begun, a task does not begin; aborted when it is over, it stays as it is.
    "16.2" with "16.1" fn aborted_too_early_and_too_late() {
        quiet(NO_ANSWER);
        let (pool, drops, made) = (pool(1), Drops::default(), Arc::new(AtomicBool::new(false)));
        let held = Held::up(|wait| pool.spawn_on(0, move || async move { wait() }));
        let (token, make) = (drops.token(), made.clone());
        let early = pool.spawn_on(0, move || {
            make.store(true, Ordering::SeqCst);
            hold(token)
        });
        early.abort();
        let late = pool.spawn_on(0, || ready(7));
        held.goes_on();
        let early = end_of(early, "A task was aborted before it had begun");
        // What is spawned later is over later.
        end_of(pool.spawn_on(0, || async { yield_now().await }), "A task was over");
        late.abort();
        let late = end_of(late, "A task was aborted when it was over");
        let (made, dropped) = (made.load(Ordering::SeqCst), drops.count());
        ensure!(
            (&early, dropped, made) == (&End::Cancelled, 1, false),
            "wrong-result",
            "A task was aborted before it had begun. What came of it: {early}. `make` was dropped \
             {dropped}, and it was{not} called. Needed: cancelled, dropped once, and not called.",
            dropped = times(dropped), not = if made { "" } else { " not" }
        );
        ensure!(
            late == End::Output(7),
            "wrong-result",
            "A task had given 7, and was aborted after that. What came of it: {late}."
        );
    }

    /// When a pool has been dropped, its threads have ended, whether they had tasks or not.
    "16.3" with "16.1" "16.2" fn the_threads_end() {
        quiet(|| (
            "stuck",
            "All tasks are over, and the pool is dropped. Its drop waits for a thread that does not end.",
        ));
        let ended = Drops::default();
        let pool = Pool::new(3).expect("there are threads enough");
        for worker in [0, 1] {
            leaves_a_token(&pool, worker, &ended);
        }
        // Thread 2 never had any.
        drop(pool);
        let ended = ended.count();
        ensure!(
            ended == 2,
            "not-given-back",
            "The pool was dropped, and of 2 threads that had tasks {ended} had ended by then."
        );
    }

    /// When a pool is dropped, its tasks are dropped, and each handle is told.
    "16.3" with "16.1" "16.2" fn all_hear_the_end() {
        quiet(|| (
            "stuck",
            "Tasks wait, and the pool is dropped. Its drop waits for a thread that does not end: its \
             tasks have to hear of it, each from the token of its `Ending`.",
        ));
        let pool = Pool::new(2).expect("there are threads enough");
        let (drops, (begun, begins)) = (Drops::default(), mpsc::channel());
        let over = pool.spawn_on(0, || ready(7));
        let waiting = (0..6).map(|n| {
            let (token, begun) = (drops.token(), begun.clone());
            pool.spawn_on(n % 2, move || async move {
                let _ = begun.send(());
                hold(token).await;
            })
        });
        let waiting = waiting.collect::<Vec<_>>();
        (0..6).for_each(|_| arrival(&begins));
        drop(pool);
        let dropped = drops.count();
        ensure!(
            dropped == 6,
            "not-given-back",
            "6 tasks waited, and the pool was dropped. {dropped} of them had been dropped by then."
        );
        for handle in waiting {
            let told = end_by_the_pool(handle, "A task waited, and the pool was dropped");
            ensure!(
                told == End::Cancelled,
                "wrong-result",
                "A task waited, and the pool was dropped. What came of it: {told}."
            );
        }
        let over = end_of(over, "A task was over, and the pool was dropped");
        ensure!(
            over == End::Output(7),
            "wrong-result",
            "A task had given 7, and the pool was dropped. What came of it: {over}."
        );
    }

    /// What has not begun by then hears it too.
    "16.3" with "16.1" "16.2" fn those_that_have_not_begun_hear_it() {
        quiet(|| (
            "stuck",
            "Tasks had not begun when the pool was dropped. Its drop waits for a thread that does not end: its \
             tasks have to hear of it, each from the token of its `Ending`.",
        ));
        let pool = Pool::new(1).expect("there are threads enough");
        let drops = Drops::default();
        let held = Held::up(|wait| pool.spawn_on(0, move || async move { wait() }));
        let waiting = [(); 3].map(|()| {
            let token = drops.token();
            pool.spawn(move || hold(token))
        });
        let dropping = thread::spawn(move || drop(pool));
        held.goes_on();
        dropping.join().unwrap();
        let dropped = drops.count();
        ensure!(
            dropped == 3,
            "not-given-back",
            "3 tasks had not begun, and the pool was dropped. {dropped} of them had been dropped by then."
        );
        for handle in waiting {
            let told = end_by_the_pool(handle, "A task had not begun, and the pool was dropped");
            ensure!(
                told == End::Cancelled,
                "wrong-result",
                "A task had not begun, and the pool was dropped. What came of it: {told}."
            );
        }
    }

    /// A pool that is dropped in one of its own tasks does not wait for the thread of that.
    "16.3" with "16.1" "16.2" fn dropped_in_one_of_its_own_tasks() {
        quiet(|| (
            "stuck",
            "A task has dropped the pool that it belongs to, and there is no answer.",
        ));
        let pool = Pool::new(2).expect("there are threads enough");
        let (drops, (give, given)) = (Drops::default(), oneshot());
        let waiting = [0, 1].map(|worker| {
            let token = drops.token();
            pool.spawn_on(worker, move || hold(token))
        });
        let drops_it = pool.spawn_on(0, || async {
            let pool: Result<Pool, _> = given.await;
            drop(pool);
            7
        });
        let _ = give.send(pool);
        let what = "A task dropped the pool that it belongs to";
        let dropped_it = end_by_the_pool(drops_it, what);
        let waiting = waiting.map(|handle| end_by_the_pool(handle, what));
        ensure!(
            dropped_it == End::Output(7),
            "wrong-result",
            "{what}, and then gave 7. What came of it: {dropped_it}."
        );
        ensure!(
            waiting == [End::Cancelled, End::Cancelled],
            "wrong-result",
            "{what}. What came of one that waited on its thread, and of one on another: {}, and {}.",
            waiting[0], waiting[1]
        );
    }

    /// A task goes where the fewest are, and leaves the count when it is over.
    "16.4" with "16.1" "16.2" "16.3" fn to_the_one_with_the_fewest() {
        quiet(NO_ANSWER);
        let pool = LeastLoaded::new(3).expect("there are threads enough");
        let mut seats = Vec::new();
        for needed in [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1], [2, 2, 1], [2, 2, 2]] {
            seats.push(seat(&pool));
            let (alive, number) = (pool.alive(), many(seats.len(), "task"));
            ensure!(
                alive == needed,
                "wrong-result",
                "{number} on 3 threads, and `alive` says {alive:?}. Needed: {needed:?}. A task goes where the \
                 fewest are; of several such threads, to the first."
            );
        }
        let empty = seats[1].thread;
        for seat in seats.extract_if(.., |seat| seat.thread == empty) {
            let _ = seat.go.send(());
            end_of(seat.handle, "A task was over");
        }
        let (mut alive, left) = (pool.alive(), seats.len());
        alive.sort_unstable();
        ensure!(left == 4, "wrong-result", "6 tasks on 3 threads, and one thread had {}, not 2.", 6 - left);
        ensure!(
            alive == [0, 2, 2],
            "not-given-back",
            "2 of 6 tasks are over, all of those on one of 3 threads. The numbers in `alive`, in their \
             order: {alive:?}. Needed: [0, 2, 2]."
        );
        let next = [seat(&pool), seat(&pool)].map(|seat| seat.thread == empty);
        ensure!(
            next == [true, true],
            "wrong-result",
            "The tasks of one of 3 threads are over, and the others have 2 each. Of 2 more tasks, {} \
             came to that thread.", next.into_iter().filter(|there| *there).count()
        );
    }

    /// The count goes down whichever way a task ends, and by the time its handle is told.
    "16.4" with "16.1" "16.2" "16.3" fn every_end_counts() {
        quiet(NO_ANSWER);
        let pool = LeastLoaded::new(2).expect("there are threads enough");
        let left = |what: &str| {
            let alive = pool.alive();
            ensure!(
                alive == [0, 0],
                "not-given-back",
                "A task {what}, and its handle was told. No other is alive, and `alive` says {alive:?}."
            );
        };
        end_of(pool.spawn(|| async { yield_now().await }), "A task was over");
        left("came to its end");
        let polled = pool.spawn(|| async { resume_unwind(Box::new("polled")) });
        let _: End<()> = end_of(polled, "A future panicked");
        left("panicked");
        let made = pool.spawn(|| {
            if true {
                resume_unwind(Box::new("made"));
            }
            ready(())
        });
        end_of(made, "`make` panicked");
        left("panicked in `make`");
        let waits = pool.spawn(pending::<()>);
        waits.abort();
        end_of(waits, "A task was aborted");
        left("was aborted");
        let held = [(); 2].map(|()| Held::up(|wait| pool.spawn(move || async move { wait() })));
        let early = pool.spawn(pending::<()>);
        let alive = pool.alive();
        ensure!(
            alive == [2, 1],
            "wrong-result",
            "Both threads are busy with one task each, and a third was spawned: `alive` says {alive:?}. \
             Needed: [2, 1]. A task that has not begun is alive."
        );
        early.abort();
        for held in held {
            let handle = held.goes_on();
            end_of(handle, "A task was over");
        }
        end_of(early, "A task was aborted before it had begun");
        left("was aborted before it had begun");
    }

    /// To look where the fewest are and to count one more is one step.
    "16.4" with "16.1" "16.2" fn two_at_once() {
        quiet(NO_ANSWER);
        let orders = every_order(|| {
            let pool: &'static _ = Box::leak(Box::new(LeastLoaded::new(2).expect("two threads")));
            let arrived = Arc::new(AtomicUsize::new(0));
            ["one", "other"].map(|name| spawns_one(name, pool, arrived.clone())).into()
        });
        let Some(order) = orders.example() else { return };
        fail!(
            "wrong-result",
            "Two threads spawn one task each, at the same time. There are 2 workers, so each gets one. Of {} \
             orders {} come to no good end. One of them:\n\n{order}", orders.total, orders.bad.len()
        );
    }

    /// The end waits for the tasks, however they end.
    "16.5" with "16.1" "16.2" "16.3" fn waits_for_the_last() {
        quiet(|| (
            "stuck",
            "All tasks are over, and `finish` still waits. It sleeps for all of the grace; or it listens, and \
             somebody else can still send.",
        ));
        let (pool, ended) = (Draining::new(2).expect("there are threads enough"), Drops::default());
        for token in [ended.token(), ended.token()] {
            let leaves = pool.spawn(|| async { TOKEN.set(Some(token)) });
            end_of(leaves, "A task was over");
        }
        let seats = [(); 4].map(|()| {
            let (go, waits) = oneshot();
            (go, pool.spawn(|| async { waits.await.ok() }))
        });
        let panics = pool.spawn(|| async { resume_unwind(Box::new("oh")) });
        let made = pool.spawn(|| {
            if true {
                resume_unwind(Box::new("made"));
            }
            ready(())
        });
        let (early, end, ended, outputs) = ch11_task::block_on(async {
            let mut finish = pin!(pool.finish(HOUR));
            let early = finish.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            if early {
                return (true, Ok(()), 0, Vec::new());
            }
            let mut outputs = Vec::new();
            for (go, handle) in seats {
                let _ = go.send(7);
                outputs.push(handle);
            }
            let end = finish.await;
            (false, end, ended.count(), outputs)
        });
        ensure!(!early, "too-early", "Four tasks wait, the grace is an hour, and `finish` was ready.");
        for handle in outputs {
            let output = end_of(handle, "A task came to its end within the grace");
            ensure!(
                output == End::Output(Some(7)),
                "too-early",
                "A task came to its end within the grace, and gave `Some(7)`. What its handle gave: {output}."
            );
        }
        ensure!(end.is_ok(), "wrong-result", "All tasks were over within the grace, and `finish` gave {end:?}.");
        ensure!(
            ended == 2,
            "not-given-back",
            "All tasks were over within the grace, and `finish` was ready. Of 2 threads of the pool {ended} had \
             ended by then. In both cases the pool is gone."
        );
        let _: End<()> = end_of(panics, "A future panicked");
        end_of(made, "`make` panicked");
    }

    /// What is not over after the grace is dropped, and the answer is an error.
    "16.5" with "16.1" "16.2" "16.3" fn cuts_after_the_grace() {
        quiet(|| (
            "not-on-time",
            "A task waits for ever. The grace of `finish` was 20 ms, and it is over.",
        ));
        let pool = Draining::new(2).expect("there are threads enough");
        let (drops, began) = (Drops::default(), Instant::now());
        let token = drops.token();
        let waits = pool.spawn(move || hold(token));
        let (end, passed, dropped) = ch11_task::block_on(async {
            let end = pool.finish(Duration::from_millis(20)).await;
            (end, began.elapsed(), drops.count())
        });
        ensure!(
            passed >= Duration::from_millis(20),
            "too-early",
            "A task was not over, the grace was 20 ms, and `finish` was ready after {} ms.",
            passed.as_millis()
        );
        ensure!(
            end.is_err(),
            "wrong-result",
            "A task was not over after the grace, and `finish` gave {end:?}."
        );
        ensure!(
            dropped == 1,
            "not-given-back",
            "`finish` was ready. A task that was not over after the grace had been dropped {} by then.",
            times(dropped)
        );
        let waits = end_by_the_pool(waits, "A task was cut off after the grace");
        ensure!(
            waits == End::Cancelled,
            "wrong-result",
            "A task was cut off after the grace. What came of it: {waits}."
        );
    }

    /// Where nobody is, nobody is waited for.
    "16.5" with "16.1" "16.2" "16.3" fn nobody_to_wait_for() {
        quiet(|| (
            "stuck",
            "There is no task, and `finish` waits until the grace is over. It sleeps for all of it; or it listens, \
             and somebody can still send.",
        ));
        let pool = Draining::new(1).expect("there are threads enough");
        let end = ch11_task::block_on(pool.finish(HOUR));
        ensure!(end.is_ok(), "wrong-result", "There was no task, and `finish` gave {end:?}.");
    }

    /// A thread takes a job when it has time: those that it has taken have begun by then.
    "16.6" fn takes_one_when_it_has_time() {
        quiet(NO_ANSWER);
        let queue = Arc::new(Queue::<Job>::new());
        (0..10).for_each(|number| queue.push(takes_notes(number, &queue)));
        let takes = async {
            loop {
                let job = queue.next().await;
                drop(spawn(job()));
            }
        };
        let gives_up = async {
            for _ in 0..200 {
                yield_now().await;
            }
        };
        ch11_task::block_on(race(takes, gives_up));
        let (order, left) = NOTES.take().into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        ensure!(
            left.len() == 10,
            "lost-wake",
            "10 jobs stood in the queue before the thread came. It has begun {} of them, and then nothing.",
            left.len()
        );
        ensure!(
            left == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
            "waits-for-one",
            "10 jobs, and one thread that takes them. When each of them began, so many stood in the queue, \
             for others to take: {left:?}. Needed: 9, then 8, and so on. What a thread has taken waits for \
             that thread, however long it is busy with the one before."
        );
        ensure!(
            order.is_sorted(),
            "overtaken",
            "Jobs 0 to 9 were added in this order. The order in which they began: {order:?}."
        );
    }

    /// No worker sleeps while there is a job, whatever comes in between of what.
    "16.6" fn nobody_sleeps_beside_a_job() {
        for jobs in [1, 2] {
            let orders = every_order(|| takes_and_pushes(jobs));
            let Some(order) = orders.example() else { continue };
            ensure!(
                order.why.as_deref() != Some(SPINS),
                "spins",
                "A worker waits for a job, and there is none. {SPINS}."
            );
            ensure!(
                order.why.as_deref() != Some(NAPS),
                "spins",
                "A worker waits for a job, and there is none. {NAPS}. To wait for news is enough."
            );
            fail!(
                "lost-wake",
                "A worker takes {}, and somebody adds as many. Of {} orders {} come to no good end. One \
                 of them:\n\n{order}", many(jobs, "job"), orders.total, orders.bad.len()
            );
        }
    }

    /// Two workers that look for one job: one of them has it, and the other waits.
    "16.6" fn one_job_for_two() {
        let orders = every_order(|| {
            let (queue, taken) = (Arc::new(Queue::new()), Arc::new(AtomicUsize::new(0)));
            queue.push(());
            ["one", "other"].map(|name| looks_once(name, queue.clone(), taken.clone())).into()
        });
        let Some(order) = orders.example() else { return };
        fail!(
            "wrong-result",
            "Two workers look for one job. Of {} orders {} come to no good end. One of them:\n\n{order}",
            orders.total, orders.bad.len()
        );
    }

    /// A job that comes while a thread waits for one is left to others for as long as that one has other tasks.
    "16.6" fn first_the_others_of_the_thread() {
        quiet(NO_ANSWER);
        let queue = Arc::new(Queue::<Job>::new());
        let left = ch11_task::block_on(async {
            let takes = queue.clone();
            drop(spawn(async move {
                loop {
                    let job = takes.next().await;
                    drop(spawn(job()));
                }
            }));
            // By now it waits.
            for _ in 0..20 {
                yield_now().await;
            }
            queue.push(Box::new(|| Box::pin(ready(()))));
            let looks = queue.clone();
            spawn(async move { looks.waiting() }).await.unwrap_or(0)
        });
        ensure!(
            left == 1,
            "waits-for-one",
            "A thread waited for a job, and one was added, and another task of the thread was spawned. When that \
             had its turn, the queue was empty: the thread had taken the job before it had time for it. What \
             waits for news may have waited long: it is not the only one on its thread."
        );
    }

    /// Ten tasks, the first of which needs long: another thread takes all the others meanwhile.
    "16.6" with "16.1" "16.2" "16.3" fn nine_go_elsewhere() {
        quiet(NO_ANSWER);
        let pool = OneQueue::new(2).expect("there are threads enough");
        let done = Arc::new((Mutex::new(0), Condvar::new()));
        let wait = done.clone();
        let long = pool.spawn(|| async move {
            let (count, changed) = &*wait;
            let limit = scaled(Duration::from_millis(1000));
            let few = |count: &mut u32| *count < 9;
            *changed.wait_timeout_while(count.lock().unwrap(), limit, few).unwrap().0
        });
        let short = (0..9).map(|_| {
            let done = done.clone();
            pool.spawn(|| async move {
                // What has begun stays, so it need not be `Send`.
                let one = Rc::new(1);
                yield_now().await;
                let (count, changed) = &*done;
                *count.lock().unwrap() += *one;
                changed.notify_all();
            })
        });
        let short = short.collect::<Vec<_>>();
        let meanwhile = block_on(long);
        let answers = short.into_iter().map(block_on);
        let answered = answers.filter(Result::is_ok).count();
        ensure!(
            meanwhile == Ok(9),
            "waits-for-one",
            "Ten tasks on 2 threads, and the first had its thread to itself until the others were done, \
             or for a second. So many were done then: {meanwhile:?}. Needed: Ok(9)."
        );
        ensure!(answered == 9, "wrong-result", "Of nine tasks {answered} gave an output.");
    }
}

/// What most checks say of a sleep without an end.
const NO_ANSWER: Asleep = || {
    ("stuck", "Tasks were spawned that come to their ends. One of them does not, or its handle does not hear of it.")
};

/// What they say when a task has been aborted, and there is no answer.
const NOT_WOKEN: Asleep = || {
    ("never-woken", "A task waits, and was aborted by its handle. There is no answer: nobody has woken it.")
};

/// For checks with many threads: no ledger, in which they would come one day in this order and the next in
/// another. What it means if there is no end is said here.
fn quiet(told: Asleep) {
    Ledger::close();
    if_it_sleeps(told);
}

/// What came of a task.
#[derive(Debug, PartialEq)]
enum End<T> {
    Output(T),
    Cancelled,
    Panic(&'static str),
}

impl<T: std::fmt::Debug> std::fmt::Display for End<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Output(output) => write!(f, "the output `{output:?}`"),
            End::Cancelled => f.write_str("cancelled"),
            End::Panic(text) => write!(f, "a panic with {text:?}"),
        }
    }
}

impl<T> From<Result<T, JoinError>> for End<T> {
    fn from(result: Result<T, JoinError>) -> Self {
        match result {
            Ok(output) => End::Output(output),
            Err(error) if error.is_cancelled() => End::Cancelled,
            Err(error) => End::Panic(text(error.into_panic())),
        }
    }
}

/// What a task has panicked with.
fn text(payload: Box<dyn Any + Send>) -> &'static str {
    payload.downcast_ref::<&str>().copied().unwrap_or("something else")
}

/// Awaits a task of a pool. `what` became of it.
fn end_of<T>(handle: impl Future<Output = Result<T, JoinError>>, what: &str) -> End<T> {
    let mut end = None;
    let panic = panics(|| end = Some(block_on(handle).into()));
    match (end, panic) {
        (Some(end), _) => end,
        (None, panic) => fail!(
            "panicked",
            "{what}, and its handle panicked when it was awaited: \"{}\". Each handle gets an answer.",
            panic.unwrap_or_default()
        ),
    }
}

/// The same, where the task may have taken its thread along: thread 0, on which others are.
fn end_where_threads_live<T>(pool: &Pool, handle: impl Future<Output = Result<T, JoinError>>, what: &str) -> End<T> {
    let mut end = None;
    if panics(|| end = Some(block_on(handle).into())).is_none() {
        return end.expect("there was no panic");
    }
    if panics(|| drop(block_on(pool.spawn_on(0, || ready(()))))).is_some() {
        fail!(
            "panicked",
            "{what}, and the thread is gone with it, and with the thread all tasks that were there. The loop \
             that starts the jobs panics with a job."
        );
    }
    fail!(
        "panicked",
        "{what}. The thread goes on, but the handle never gets an answer: what was to send one has panicked \
         as well."
    );
}

/// Awaits a task of a pool that is dropped.
fn end_by_the_pool<T>(handle: impl Future<Output = Result<T, JoinError>>, what: &str) -> End<T> {
    let mut end = None;
    if panics(|| end = Some(block_on(handle).into())).is_some() {
        fail!(
            "panicked",
            "{what}, and its handle got no answer. The thread ended before its task had answered: who keeps \
             `alive` until then?"
        );
    }
    end.expect("there was no panic")
}

/// Spawns something after what may have taken the thread along.
fn in_spite_of<T>(what: &str, spawns: impl FnOnce() -> T) -> T {
    let mut spawned = None;
    if let Some(panic) = panics(|| spawned = Some(spawns())) {
        fail!("panicked", "{what}, and the thread is gone with it: `spawn_on` panics with \"{panic}\".");
    }
    spawned.expect("there was no panic")
}

/// What comes of a task that `future` spawns and awaits.
fn alone<T>(future: impl Future<Output = Result<T, JoinError>>) -> End<T> {
    let mut output = None;
    // The pipe of the reactor is made before: it is no part of the story.
    let ledger = Ledger::current();
    Ledger::close();
    let _ = wait(Some(Duration::ZERO), || true);
    ledger.inspect(Ledger::attach);
    let panic = panics(|| output = Some(ch11_task::block_on(watch("or_abort", future)).into()));
    let Some(output) = output else {
        let panic = panic.unwrap_or_default();
        let again = panic.contains("after it was ready");
        ensure!(!again, "polled-after-ready", "A handle had given its result, and was polled again.");
        fail!("panicked", "`or_abort` panicked: {panic}.");
    };
    output
}

/// A pool that is never dropped: for checks that come before its end is written.
fn pool(threads: usize) -> &'static Pool {
    Box::leak(Box::new(Pool::new(threads).expect("there are threads enough")))
}

/// Waits for ever, and has something that is dropped with it.
async fn hold(token: DropToken) {
    let _token = token;
    pending().await
}

/// On which threads a future was: it is written by what it owns, and cannot be sent.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<(&'static str, ThreadId)>>>);

/// What a future writes into its [`Diary`].
struct Page {
    diary: Diary,
    /// Here, for as long as the future is.
    _here: Rc<()>,
}

impl Diary {
    fn page(&self) -> Page {
        self.write("made");
        Page { diary: self.clone(), _here: Rc::default() }
    }

    fn write(&self, what: &'static str) {
        self.0.lock().unwrap().push((what, thread::current().id()));
    }

    /// The one thread that all of it was on: two futures, made, polled and dropped.
    fn thread(&self, worker: usize) -> ThreadId {
        let lines = self.0.lock().unwrap().clone();
        let thread = lines[0].1;
        ensure!(
            thread != thread::current().id(),
            "moved",
            "A future of thread {worker} was made on the thread that called `spawn_on`."
        );
        let made = lines.iter().filter(|(what, _)| *what == "made");
        ensure!(
            made.clone().all(|(_, other)| *other == thread),
            "wrong-result",
            "`spawn_on` was called with {worker} twice. The tasks went to two threads."
        );
        if let Some((what, _)) = lines.iter().find(|(_, other)| *other != thread) {
            fail!("moved", "A future was made on thread {worker}, and {what} on another one.");
        }
        let drops = lines.iter().filter(|(what, _)| *what == "dropped").count();
        ensure!(drops == 2, "still-there", "2 tasks are over, and {drops} of their futures were dropped.");
        thread
    }
}

impl Page {
    fn polled(&mut self) {
        self.diary.write("polled");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.diary.write("dropped");
    }
}

/// What a task sends when it begins.
fn arrival<T>(arrives: &mpsc::Receiver<T>) -> T {
    arrives.recv().unwrap_or_else(|_| fail!("never-polled", "A task was spawned, and dropped before it began."))
}

/// A task that keeps its thread busy until it may go on.
struct Held<H> {
    go: mpsc::Sender<()>,
    handle: H,
}

impl<H> Held<H> {
    /// `spawns` has a thread call what it is given, and that waits there.
    fn up(spawns: impl FnOnce(Box<dyn FnOnce() + Send>) -> H) -> Self {
        let ((go, waits), (arrived, arrives)) = (mpsc::channel(), mpsc::channel());
        let handle = spawns(Box::new(move || {
            let _ = arrived.send(());
            let _ = waits.recv();
        }));
        arrival(&arrives);
        Held { go, handle }
    }

    fn goes_on(self) -> H {
        let _ = self.go.send(());
        self.handle
    }
}

thread_local! {
    /// Goes with its thread.
    static TOKEN: RefCell<Option<DropToken>> = const { RefCell::new(None) };
}

/// Has a thread of the pool keep something until it ends.
fn leaves_a_token(pool: &Pool, worker: usize, ended: &Drops) {
    let token = ended.token();
    let leaves = pool.spawn_on(worker, || async { TOKEN.set(Some(token)) });
    end_of(leaves, "A task was over");
}

/// A task that waits, and says where.
struct Seat {
    go: Sender<()>,
    handle: Pin<Box<dyn Future<Output = Result<(), JoinError>>>>,
    thread: ThreadId,
}

fn seat(pool: &LeastLoaded) -> Seat {
    let ((go, waits), (says, said)) = (oneshot(), mpsc::channel());
    let handle = pool.spawn(move || async move {
        let _ = says.send(thread::current().id());
        let _ = waits.await;
    });
    Seat { go, handle: Box::pin(handle), thread: arrival(&said) }
}

/// An actor that spawns a task; whoever comes last looks where the two are.
fn spawns_one(name: &'static str, pool: &'static LeastLoaded, arrived: Arc<AtomicUsize>) -> Actor {
    actor(name, move || {
        drop(pool.spawn(pending::<()>));
        if arrived.fetch_add(1, Ordering::SeqCst) == 1 {
            let alive = pool.alive();
            if alive != [1, 1] {
                // The end of this play, and not of the check.
                resume_unwind(Box::new(format!("`alive` says {alive:?}")));
            }
        }
    })
}

thread_local! {
    /// Each time a job began, its number, and how many were left.
    static NOTES: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
}

/// A job that notes how many are in the queue when it begins.
fn takes_notes(number: usize, queue: &Arc<Queue<Job>>) -> Job {
    let queue = queue.clone();
    Box::new(move || {
        Box::pin(async move {
            let left = queue.waiting();
            NOTES.with_borrow_mut(|notes| notes.push((number, left)));
        })
    })
}

/// The actors of one queue: a worker that takes so many jobs, and somebody who adds as many.
fn takes_and_pushes(jobs: u32) -> Vec<Actor> {
    let queue = Arc::new(Queue::new());
    let adds = queue.clone();
    let takes = actor("worker", move || {
        pass_free_locks();
        let (bell, waker) = Bell::new();
        for _ in 0..jobs {
            let (mut next, mut polls) = (pin!(queue.next()), 0);
            while next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                polls += 1;
                if pending_timers() > 0 {
                    resume_unwind(Box::new(NAPS.to_owned()));
                }
                if polls > 20 {
                    // The end of this play, and not of the check.
                    resume_unwind(Box::new(SPINS.to_owned()));
                }
                if bell.rung() == 0 {
                    let alarm = bell.clone();
                    wait_until("sleep", move || alarm.is_rung());
                    bell.rung();
                }
            }
        }
    });
    let adds = actor("somebody", move || {
        pass_free_locks();
        (0..jobs).for_each(|job| adds.push(job));
    });
    vec![takes, adds]
}

/// An actor that takes a job if there is one; whoever comes last looks how many were taken.
fn looks_once(name: &'static str, queue: Arc<Queue<()>>, taken: Arc<AtomicUsize>) -> Actor {
    /// How much it counts that a worker has left.
    const LEFT: usize = 10;
    actor(name, move || {
        pass_free_locks();
        let (bell, waker) = Bell::new();
        let mut next = Box::pin(queue.next());
        let got = loop {
            let polled = next.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() || bell.rung() == 0 {
                break polled.is_ready();
            }
        };
        let before = taken.fetch_add(LEFT + usize::from(got), Ordering::SeqCst);
        let all = before % LEFT + usize::from(got);
        if before >= LEFT && all != 1 {
            resume_unwind(Box::new(format!("{all} of them had it")));
        }
    })
}

/// What a worker does that does not sleep.
const SPINS: &str = "It wakes itself and looks again, 20 times and more";

/// What one does that sleeps for a while.
const NAPS: &str = "It sets a timer, to look again when that is over";

/// Longer than any check may take.
const HOUR: Duration = Duration::from_secs(3600);
