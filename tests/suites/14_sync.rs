// The checks of chapter 14. `subject` is the code under examination.

use std::mem::{self, ManuallyDrop};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::Sink;

use under_await::ch04_park::block_on;
use under_await::ledger::watch;

use crate::support::schedules::{
    Actor, Orders, actor, every_order, pass_free_locks, point, wait_until,
};
use crate::support::{
    Bell, DropToken, Drops, Event, allocations, checks, dropping, ensure, fail, ledger, many, panics,
    scaled, times,
};

use subject::extend::{Broadcast, Gate, RecvError, Subscriber, sink};
use subject::{Mutex, Notify, SendError, TryRecvError, TrySendError, channel, unbounded};
use subject::{Semaphore, TryAcquireError};

checks! {
    /// A call that finds nobody waiting is kept for whoever comes.
    "14.1" fn a_call_that_finds_nobody_is_kept() {
        let semaphore = Semaphore::new(1);
        let permit = semaphore.try_acquire().expect("there is one");
        let second = semaphore.try_acquire().map(drop);
        ensure!(
            second == Err(TryAcquireError::NoPermits),
            "wrong-result",
            "There was one permit, and it was taken. A second `try_acquire` gave {second:?}."
        );
        drop(permit);
        let after = semaphore.available_permits();
        ensure!(after == 1, "not-given-back", "A permit came back; `available_permits` gives {after}, not 1.");
        semaphore.add_permits(2);
        let after = semaphore.available_permits();
        ensure!(after == 3, "not-given-back", "To 1 permit 2 were added; `available_permits` gives {after}.");
        let semaphore = Semaphore::new(usize::MAX);
        let permit = semaphore.try_acquire();
        semaphore.add_permits(1);
        if let Some(text) = panics(|| drop(permit)) {
            fail!(
                "panicked",
                "A semaphore has `usize::MAX` permits, and one more came back. That panicked: {text}. No more \
                 calls are kept than `most` says, and that may be the largest number there is."
            );
        }
        let after = semaphore.available_permits();
        ensure!(
            after == usize::MAX,
            "wrong-result",
            "To `usize::MAX` permits one more came back. `available_permits` gives {after}: no more are kept \
             than that, and no fewer."
        );
    }

    /// As many calls are kept as `most` says, and a closed list keeps none.
    "14.1" fn no_more_are_kept_than_most() {
        let semaphore = Semaphore::new(2);
        let permit = semaphore.try_acquire();
        semaphore.close();
        drop(permit);
        let after = semaphore.available_permits();
        ensure!(
            after == 0,
            "wrong-result",
            "A semaphore was closed, and a permit came back after that. `available_permits` gives {after}, and \
             0 is needed. How many calls a list keeps, `most` says, and a closed one keeps none."
        );
    }

    /// A mutex that nobody waits for is free when its guard is gone.
    "14.1" fn a_mutex_comes_free() {
        let mutex = Mutex::new(1);
        for n in 1..4 {
            let Ok(mut guard) = mutex.try_lock() else {
                fail!("not-given-back", "The guard was dropped, and nobody waited. It is still locked.");
            };
            ensure!(*guard == n, "wrong-result", "The value should be {n}, and is {}.", *guard);
            *guard += 1;
            let again = mutex.try_lock().is_ok();
            ensure!(!again, "wrong-result", "It was locked, and `try_lock` locked it again.");
        }
    }

    /// A `lock` that answers `Pending` has left a clone of its waker.
    "14.2" fn who_waits_leaves_its_waker() {
        let mutex = Mutex::new(());
        let _guard = mutex.try_lock();
        let (bell, waker) = Bell::new();
        let mut lock = keep(Box::pin(mutex.lock()));
        pending(lock.as_mut(), &waker);
        ensure!(
            owners(&bell) > 0,
            "never-woken",
            "`lock` answered `Pending`, and nobody has kept a clone of its waker. One is needed."
        );
    }

    /// Another poll replaces the waker of the poll before; the place stays the same.
    "14.2" fn keeps_the_newest_waker() {
        let mutex = Mutex::new(());
        let _guard = mutex.try_lock();
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        let mut lock = keep(Box::pin(mutex.lock()));
        let mut polls = String::new();
        for (name, waker, needed) in [
            ("A", &waker_a, (1, 0)),
            ("A", &waker_a, (1, 0)),
            ("B", &waker_b, (0, 1)),
            ("B", &waker_b, (0, 1)),
            ("A", &waker_a, (1, 0)),
            ("B", &waker_b, (0, 1)),
        ] {
            pending(lock.as_mut(), waker);
            polls.push_str(name);
            let kept = (owners(&a), owners(&b));
            let seen = format!(
                "One `lock` was polled with the wakers of these tasks, one after the other: {polls}. Of \
                 A and B it keeps {kept:?} clones. Needed: {needed:?}"
            );
            ensure!(kept != (0, 0), "never-woken", "{seen}.");
            ensure!(kept.0 + kept.1 == 1, "piles-up", "{seen}.");
            ensure!(kept == needed, "old-waker", "{seen}.");
        }
        (0..100).for_each(|_| pending(lock.as_mut(), &waker_b));
        let kept = owners(&a) + owners(&b);
        ensure!(kept == 1, "piles-up", "After 106 polls of one `lock`, {kept} wakers are kept, not 1.");
    }

    /// The list calls the first that was not called yet, whether the called ones have gone on or not.
    "14.2" with "14.1" fn the_list_calls_one_after_the_other() {
        let notify = Notify::new();
        let mut waiting = NAMES.map(|name| keep(Waiting::new(name, notify.notified())));
        waiting.iter_mut().for_each(|notified| notified.waits());
        for n in 0..3 {
            note("one is notified");
            notify.notify_one();
            let rung = waiting.each_ref().map(|notified| notified.bell.rung());
            let needed = [0, 1, 2].map(|i| u32::from(i == n));
            let seen = format!(
                "A, B and C are in the list, {n} of them called and not polled since. One call more woke \
                 them {rung:?} times. Needed: {needed:?}"
            );
            ensure!(rung != [0; 3], "never-woken", "{seen}. Whom a call wakes, `call` decides.");
            ensure!(rung == needed, "overtaken", "{seen}. Whom a call wakes, `call` decides.");
        }
        let mut fourth = keep(Waiting::new("D", notify.notified()));
        let overtook = fourth.poll().is_ready();
        ensure!(
            !overtook,
            "overtaken",
            "A, B and C were called, and have not gone on yet. D came, and was ready: what the three \
             were called for is theirs, and nothing is spare."
        );
        for (what, needed) in [("D waits behind them", 1), ("so was D", 0)] {
            note("one more is notified");
            notify.notify_one();
            let rung = waiting.each_ref().map(|notified| notified.bell.rung());
            let last = fourth.bell.rung();
            let seen = format!(
                "A, B and C were called and are still in the list; {what}. One call more woke them \
                 {rung:?} times, and D {}. Needed: [0, 0, 0] times, and {}.", times(last), times(needed)
            );
            ensure!(last >= needed, "never-woken", "{seen}");
            ensure!((rung, last) == ([0; 3], needed), "woken-for-nothing", "{seen}");
        }
        for (name, notified) in NAMES.into_iter().zip(&mut waiting) {
            let ready = notified.poll().is_ready();
            ensure!(
                ready,
                "stuck",
                "{name} was called and woken, and when it was polled, it was pending: for the list, it \
                 still waits."
            );
        }
        let late = keep(Waiting::new("E", notify.notified())).poll();
        ensure!(
            late.is_ready(),
            "lost-wake",
            "Four waited, and there were five calls. The fifth found nobody to call, so it is kept, and E \
             came for it and was pending."
        );
    }

    /// A waiter that is called goes on as called, and not as dismissed: its place was kept for it.
    "14.2" with "14.1" fn who_is_called_was_called() {
        let (first, receiver) = sink();
        let (_receiver, mut second) = (keep(receiver), keep(first.clone()));
        let (bell, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        let mut has_room = keep(first);
        let answer = Pin::new(&mut *has_room).poll_ready(&mut cx);
        ensure!(
            answer == Poll::Ready(Ok(())),
            "wrong-result",
            "There is room for one message, and a sink that was asked whether it is ready gave {answer:?}."
        );
        let mut ready = || Pin::new(&mut *second).poll_ready(&mut cx);
        let answer = ready();
        ensure!(answer.is_pending(), "wrong-result", "The room is another's, and a sink gave {answer:?}.");
        note("the first sink is dropped, and gives its room back");
        drop(ManuallyDrop::into_inner(has_room));
        let rung = bell.rung();
        ensure!(rung == 1, "never-woken", "One sink waits for room, and there is some: woken {rung} times.");
        let answer = ready();
        ensure!(answer.is_ready(), "stuck", "A sink was called for room, was polled, and was pending.");
        ensure!(
            answer == Poll::Ready(Ok(())),
            "wrong-result",
            "A sink was called for room, and when it was polled, it gave {answer:?}: as if it had been \
             dismissed. One that is called stays in the list, without a waker, until it goes on."
        );
        note("the sink sends into the room that it has");
        let _ = Pin::new(&mut *second).start_send(1);
        let answer = Pin::new(&mut *second).poll_ready(&mut cx);
        ensure!(
            answer.is_pending(),
            "wrong-result",
            "The channel is full and open. A sink that had waited for room, and has used it, was asked \
             whether it is ready: {answer:?}. A ticket is good for one wait."
        );
    }

    /// They are called in the order in which they came, one for each time it comes free.
    "14.2" with "14.1" fn called_in_the_order_of_arrival() {
        let mutex = Mutex::new(0);
        let mut guard = mutex.try_lock().ok();
        let mut waiting = NAMES.map(|name| keep(Waiting::new(name, mutex.lock())));
        waiting.iter_mut().for_each(|lock| lock.waits());
        // Its task was woken for something else; it keeps its place.
        waiting[0].waits();
        for n in 0..3 {
            note("unlocked");
            drop(guard.take());
            let rung = waiting.each_ref().map(|lock| lock.bell.rung());
            let needed = [0, 1, 2].map(|i| u32::from(i == n));
            let seen = format!("After unlock {}, A, B and C were woken {rung:?} times", n + 1);
            ensure!(rung != [0; 3], "never-woken", "{seen}. Needed: {needed:?}.");
            ensure!(rung == needed, "overtaken", "{seen}. Needed: {needed:?}.");
            waiting.iter_mut().skip(n + 1).for_each(|lock| lock.waits());
            guard = Some(waiting[n].goes_on());
        }
    }

    /// What a waiter was called for is its own: one that comes later does not get it.
    "14.2" with "14.1" fn nobody_overtakes() {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        let mut first = keep(Waiting::new("A", mutex.lock()));
        first.waits();
        note("unlocked");
        drop(guard);
        let locked = mutex.try_lock().is_ok();
        ensure!(!locked, "overtaken", "A was called, and before it came, `try_lock` had locked.");
        let mut second = keep(Waiting::new("B", mutex.lock()));
        let overtook = second.poll().is_ready();
        ensure!(!overtook, "overtaken", "A was called, and before it came, B had locked.");
        drop(first.goes_on());
        second.goes_on();
    }

    /// A lock that comes free on another thread wakes the thread that sleeps for it.
    "14.2" fn woken_by_another_thread() {
        let mutex: &Mutex<u32> = Box::leak(Box::new(Mutex::new(1)));
        let Ok(mut guard) = mutex.try_lock() else {
            fail!("wrong-result", "Nobody had locked the mutex, and `try_lock` gave an error.");
        };
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            *guard += 1;
        });
        let seen = block_on(watch("lock", async { *mutex.lock().await }));
        ensure!(seen == 2, "wrong-result", "The other thread made it 2; the lock gave {seen}.");
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 3, "busy-poll", "One wait took {polls} polls; 2 are enough.");
    }

    /// One notification is kept when nobody waits, and no more than one.
    "14.2" with "14.1" fn one_notification_is_kept() {
        let notify = Notify::new();
        (0..3).for_each(|_| notify.notify_one());
        let mut first = keep(Waiting::new("A", notify.notified()));
        ensure!(
            first.poll().is_ready(),
            "lost-wake",
            "`notify_one`, and after it `notified`: the notification is lost."
        );
        let mut second = keep(Waiting::new("B", notify.notified()));
        ensure!(
            second.poll().is_pending(),
            "wrong-result",
            "`notify_one` 3 times with nobody waiting: a second `notified` was ready as well. One is \
             kept, not more."
        );
    }

    /// Each call is for one: two of three waiters are called, though none has gone on yet.
    "14.2" fn each_call_is_for_one() {
        let notify = Notify::new();
        let mut waiting = NAMES.map(|name| keep(Waiting::new(name, notify.notified())));
        waiting.iter_mut().for_each(|notified| notified.waits());
        note("one is notified, and one more");
        (0..2).for_each(|_| notify.notify_one());
        let rung = waiting.each_ref().map(|notified| notified.bell.rung());
        let seen = format!("A, B and C wait; `notify_one` twice. They were woken {rung:?} times");
        let enough = rung.iter().sum::<u32>() >= 2;
        ensure!(enough, "never-woken", "{seen}. Needed: [1, 1, 0].");
        ensure!(rung == [1, 1, 0], "overtaken", "{seen}. Needed: [1, 1, 0].");
        waiting[2].waits();
        waiting.iter_mut().take(2).for_each(|notified| notified.goes_on());
    }

    /// A waiter that is called leaves no waker behind, and one that has gone on leaves no place.
    "14.2" with "14.1" fn who_goes_on_leaves_nothing() {
        let mutex = Mutex::new(());
        let (bell, waker) = Bell::new();
        let wait = |rounds| {
            let mut kept = 0;
            for _ in 0..rounds {
                let guard = mutex.try_lock();
                let mut lock = keep(Box::pin(mutex.lock()));
                pending(lock.as_mut(), &waker);
                drop(guard);
                kept += owners(&bell);
                let answer = lock.as_mut().poll(&mut Context::from_waker(&waker));
                ensure!(answer.is_ready(), "stuck", "It was called, and when it was polled, it was pending.");
            }
            kept
        };
        let kept = wait(1);
        ensure!(
            kept == 0,
            "piles-up",
            "It was called, and the list has {kept} of its waker.",
            kept = many(kept, "clone")
        );
        // Each puts its future into a box, and that is all.
        let grown = allocations(|| _ = wait(200)) - 200;
        ensure!(
            grown == 0,
            "piles-up",
            "200 waits, each over before the next began: something grew {grown}. One that has \
             gone on has to leave the queue.", grown = times(grown)
        );
    }

    /// All that have asked before are notified, polled or not; nothing is kept for later.
    "14.2" fn all_are_notified_who_have_asked() {
        let notify = Notify::new();
        let mut polled = keep(Waiting::new("polled", notify.notified()));
        let mut unpolled = keep(Waiting::new("unpolled", notify.notified()));
        polled.waits();
        note("all are notified");
        notify.notify_waiters();
        ensure!(polled.bell.rung() == 1, "never-woken", "The one that waited was not woken.");
        ensure!(
            polled.poll().is_ready() && unpolled.poll().is_ready(),
            "lost-wake",
            "Two asked, one of them was polled, all were notified: now both have to be ready."
        );
        let mut later = keep(Waiting::new("later", notify.notified()));
        later.waits();
    }

    /// Whoever is woken may use the mutex at once: it is free of its own lock.
    "14.2" fn wakes_and_drops_wakers_unlocked() {
        let mutex: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(1)));
        let uses = move || drop(mutex.try_lock());
        let guard = mutex.try_lock();
        let mut lock = keep(Box::pin(mutex.lock()));
        pending(lock.as_mut(), &meddler(Moment::Drop, uses));
        pending(lock.as_mut(), &meddler(Moment::Wake, uses));
        drop(guard);
        // It was called, and needs no waker any more: a clone that was made all the same goes unlocked.
        let waker = dropping(move || meddle(Moment::Drop, uses));
        let called = lock.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        ensure!(called, "stuck", "It was called, and when it was polled, it was pending.");
    }

    /// Whatever comes in between of what: a waiter sleeps only if it is going to be called or dismissed.
    "14.2" with "14.1" fn called_in_every_order() {
        for (all, moves) in [(false, false), (true, false), (false, true), (true, true)] {
            let orders = every_order(|| notifies(all, moves));
            let Some(order) = orders.example() else { continue };
            let what = if all { "all are notified" } else { "one is notified" };
            fail!(
                "lost-wake",
                "One waits, and {what}. {}. One of them:\n\n{order}", no_good_end(&orders)
            );
        }
    }

    /// A waiter that is dropped leaves no waker behind, and is not woken: the next one is.
    "14.3" fn who_goes_leaves_the_queue() {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        let (gone, waker) = Bell::new();
        let mut first = Box::pin(mutex.lock());
        pending(first.as_mut(), &waker);
        let mut second = Waiting::new("B", mutex.lock());
        second.waits();
        note("A is dropped");
        drop(first);
        let kept = owners(&gone);
        ensure!(
            kept == 0,
            "piles-up",
            "A waited and was dropped, and there is still {kept} of its waker.",
            kept = many(kept, "clone")
        );
        let rung = second.bell.rung();
        ensure!(
            rung == 0,
            "woken-for-nothing",
            "A waited, was not called, and was dropped. By that B, which is next, was woken {rung}. Nothing \
             has come free: the mutex is locked.",
            rung = times(rung)
        );
        note("unlocked");
        drop(guard);
        let rung = (gone.rung(), second.bell.rung());
        ensure!(rung.0 == 0, "stray-wake", "A had been dropped, and was woken after that.");
        ensure!(rung.1 == 1, "not-passed-on", "A had been dropped. B, which is next, was not woken.");
        drop(second.goes_on());
    }

    /// A waiter that was called and is dropped before it has gone on passes the call on.
    "14.3" fn who_was_called_passes_it_on() {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        let mut first = Waiting::new("A", mutex.lock());
        let mut second = Waiting::new("B", mutex.lock());
        first.waits();
        second.waits();
        note("unlocked: A is called");
        drop(guard);
        note("A is dropped");
        drop(first);
        let rung = second.bell.rung();
        ensure!(
            rung == 1,
            "not-passed-on",
            "A was called, and was dropped before it was polled. B, which is next, was woken {rung} \
             times. Needed: 1."
        );
        note("B is dropped");
        drop(second);
        ensure!(
            mutex.try_lock().is_ok(),
            "not-passed-on",
            "A and B were called and dropped, one after the other. Nobody has locked the mutex, and it \
             is locked for ever."
        );
    }

    /// A call that is passed on goes to one, and no further.
    "14.3" fn it_is_passed_on_to_one() {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        let mut waiting = NAMES.map(|name| Some(Waiting::new(name, mutex.lock())));
        waiting.iter_mut().flatten().for_each(|lock| lock.waits());
        note("unlocked: A is called");
        drop(guard);
        note("A is dropped");
        waiting[0] = None;
        let [_, Some(second), Some(third)] = &mut waiting else { unreachable!("B and C wait") };
        let rung = [second.bell.rung(), third.bell.rung()];
        let seen = format!("A was called and dropped. B and C were woken {rung:?} times");
        ensure!(rung[0] > 0, "not-passed-on", "{seen}. Needed: [1, 0].");
        ensure!(rung == [1, 0], "overtaken", "{seen}. Needed: [1, 0].");
        drop(second.goes_on());
    }

    /// The same for one notification: it goes to the next, or is kept.
    "14.3" fn a_notification_is_passed_on() {
        let notify = Notify::new();
        let mut first = Waiting::new("A", notify.notified());
        let mut second = Waiting::new("B", notify.notified());
        first.waits();
        second.waits();
        note("one is notified");
        notify.notify_one();
        note("A is dropped");
        drop(first);
        let rung = second.bell.rung();
        ensure!(rung == 1, "not-passed-on", "A was notified and dropped; B was woken {rung} times.");
        note("B is dropped");
        drop(second);
        let kept = Waiting::new("C", notify.notified()).poll().is_ready();
        ensure!(kept, "not-passed-on", "A and B were notified and dropped. C came, and found nothing.");
        // A waiter that hears what all hear has nothing to pass on.
        let mut dismissed = Waiting::new("D", notify.notified());
        dismissed.waits();
        note("all are notified");
        notify.notify_waiters();
        note("D is dropped");
        drop(dismissed);
        let again = Waiting::new("E", notify.notified()).poll().is_ready();
        ensure!(!again, "wrong-result", "D heard what all heard, and was dropped. E was notified by that.");
    }

    /// Called before it is dropped, or not called at all: a call that comes meanwhile is not lost.
    "14.3" fn dropped_in_every_order() {
        let orders = every_order(|| {
            let notify: &'static Notify = Box::leak(Box::new(Notify::new()));
            drops_the_first(|| notify.notified(), "notify one", || notify.notify_one())
        });
        let Some(order) = orders.example() else { return };
        fail!(
            "not-passed-on",
            "A and B wait. A is dropped, and one is notified: in every order that is B in the end. {}. One \
             of them:\n\n{order}", no_good_end(&orders)
        );
    }

    /// Three wait; one of them is dropped, at any moment there is. The others have their turn.
    "14.3" fn with_a_drop_at_every_step() {
        for victim in 0..3 {
            for moment in 0..9 {
                let mutex = Mutex::new(0);
                let mut guard = mutex.try_lock().ok();
                let mut waiting = NAMES.map(|name| Some(Waiting::new(name, mutex.lock())));
                // Three polls to begin with; then it is unlocked, and whoever was woken is polled.
                for step in 0..9 {
                    if step == moment {
                        waiting[victim] = None;
                    }
                    if step == 3 {
                        guard = None;
                    }
                    let Some(lock) = &mut waiting[step % 3] else { continue };
                    if (step < 3 || lock.bell.rung() > 0) && lock.poll().is_ready() {
                        waiting[step % 3] = None;
                    }
                }
                let left = waiting.iter().flatten().map(|lock| lock.name).collect::<Vec<_>>();
                let free = guard.is_none() && mutex.try_lock().is_ok();
                ensure!(
                    left.is_empty() && free,
                    "not-passed-on",
                    "A, B and C waited for one mutex. {} was dropped before step {moment} of 9. In the \
                     end {left:?} had not had their turn, and the mutex was {}.", NAMES[victim],
                    if free { "free" } else { "locked" }
                );
            }
        }
    }

    /// A dropped waiter passes the call on when the lock is free, and drops its waker then.
    "14.3" fn goes_unlocked() {
        let mutex: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(1)));
        let uses = move || drop(mutex.try_lock());
        let guard = mutex.try_lock();
        let mut called = Box::pin(mutex.lock());
        pending(called.as_mut(), Waker::noop());
        let mut woken = keep(Box::pin(mutex.lock()));
        pending(woken.as_mut(), &meddler(Moment::Wake, uses));
        let mut dropped = Box::pin(mutex.lock());
        pending(dropped.as_mut(), &meddler(Moment::Drop, uses));
        drop(dropped);
        drop(guard);
        drop(called);
    }

    /// Permits go to the waiters, in the order in which they came.
    "14.4" fn permits_go_round() {
        let semaphore = Semaphore::new(2);
        let mut waiting = ["A", "B", "C", "D"].map(|name| Waiting::new(name, semaphore.acquire()));
        let mut held = Vec::new();
        held.extend(waiting.iter_mut().take(2).map(permit));
        waiting[2].waits();
        waiting[3].waits();
        for n in 2..4 {
            note("a permit comes back");
            held.remove(0);
            let rung = [2, 3].map(|n: usize| waiting[n].bell.rung());
            let needed = [u32::from(n == 2), u32::from(n == 3)];
            let seen = format!("Permit {} came back. C and D were woken {rung:?} times", n - 1);
            ensure!(rung == needed, "overtaken", "{seen}. Needed: {needed:?}.");
            held.push(permit(&mut waiting[n]));
        }
        drop(held);
        let free = semaphore.available_permits();
        ensure!(free == 2, "not-given-back", "All permits have come back; `available_permits` gives {free}, not 2.");
    }

    /// A permit whose owner-to-be is gone is there for others.
    "14.4" fn a_permit_is_passed_on() {
        let semaphore = Semaphore::new(0);
        let mut waiting = NAMES.map(|name| Some(Waiting::new(name, semaphore.acquire())));
        waiting.iter_mut().flatten().for_each(|acquire| acquire.waits());
        note("two permits are added");
        semaphore.add_permits(2);
        note("A is dropped");
        waiting[0] = None;
        for n in [1, 2] {
            let acquire = waiting[n].as_mut().expect("it is there");
            let rung = acquire.bell.rung();
            let name = NAMES[n];
            ensure!(rung == 1, "not-passed-on", "{name} was woken {rung} times; it is its turn.");
            drop(permit(acquire));
        }
        let free = semaphore.available_permits();
        let seen = format!(
            "2 permits were added. A was dropped, and B and C have given theirs back. `available_permits` gives \
             {free}, and 2 is needed"
        );
        ensure!(free >= 2, "not-passed-on", "{seen}.");
        ensure!(free == 2, "wrong-result", "{seen}. A was dropped before it had one, and yet it gave one back.");
    }

    /// Closing ends every wait with an error.
    "14.4" fn a_closed_semaphore() {
        let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(20));
            semaphore.close();
        });
        let got = block_on(watch("acquire", semaphore.acquire())).is_ok();
        ensure!(!got, "wrong-result", "The semaphore was closed during the wait, and gave a permit.");
        let got = Waiting::new("later", semaphore.acquire()).poll().map(|permit| permit.is_ok());
        ensure!(
            got == Poll::Ready(false),
            "wrong-result",
            "The semaphore was closed; `acquire` gave {got:?}, not an error at once."
        );
    }

    /// A waiter that is called has its permit, also when the semaphore is closed before it goes on.
    "14.4" fn called_and_then_closed() {
        let semaphore = Semaphore::new(0);
        let mut called = Waiting::new("A", semaphore.acquire());
        called.waits();
        note("a permit is added, and the semaphore is closed");
        semaphore.add_permits(1);
        semaphore.close();
        let got = called.poll().map(|permit| permit.map(drop));
        ensure!(
            got == Poll::Ready(Ok(())),
            "wrong-result",
            "A was called for a permit, and before it was polled, the semaphore was closed. `acquire` gave \
             {got:?} after that. What a waiter was called for is its own, whatever comes next."
        );
    }

    /// Messages arrive in the order in which they were sent, and then there are none.
    "14.5" fn messages_arrive_in_order() {
        let (sender, mut receiver) = channel(3);
        let empty = receiver.try_recv();
        ensure!(
            empty == Err(TryRecvError::Empty),
            "wrong-result",
            "Nothing was sent, and the sender is there: `try_recv` gave {empty:?}."
        );
        for n in 0..3 {
            let _ = sender.try_send(n);
        }
        let got = [(); 3].map(|()| receiver.try_recv().ok());
        ensure!(
            got == [Some(0), Some(1), Some(2)],
            "data-lost",
            "0, 1 and 2 were sent, and {got:?} were received."
        );
    }

    /// A message taken makes room, and the room goes to the first sender that waits for it.
    "14.5" fn room_goes_to_who_waits() {
        let (sender, mut receiver) = channel(1);
        let _ = sender.try_send(0);
        let full = sender.try_send(9);
        ensure!(
            full == Err(TrySendError::Full(9)),
            "wrong-result",
            "With room for one message and one in it, `try_send` gave {full:?}."
        );
        let mut sends = [1, 2].map(|n| Waiting::new(NAMES[n - 1], sender.send(n)));
        sends.iter_mut().for_each(|send| send.waits());
        for n in 0..3 {
            note("a message is taken");
            let got = receiver.try_recv();
            ensure!(got == Ok(n), "data-lost", "{n} should have come next, and it was {got:?}.");
            if let Some(send) = sends.get_mut(n) {
                let rung = send.bell.rung();
                let name = send.name;
                ensure!(rung == 1, "never-woken", "There is room, and {name} was woken {rung} times.");
                let sent = send.goes_on();
                ensure!(sent.is_ok(), "wrong-result", "The channel is open, and {name} got {sent:?}.");
            }
            let others = sends.iter().skip(n + 1).map(|send| send.bell.rung()).sum::<u32>();
            ensure!(others == 0, "overtaken", "There is room for one, and two senders were woken.");
        }
    }

    /// However many messages have gone through, there is room for as many as in the beginning.
    "14.5" fn the_room_stays_the_same() {
        for n in 1..4 {
            let (sender, mut receiver) = channel(n);
            for round in 0..4 {
                let sent = (0..n + 1).take_while(|n| sender.try_send(*n).is_ok()).count();
                let seen = format!(
                    "A channel with room for {n} took {sent} messages, when {} had gone through",
                    round * n
                );
                ensure!(sent >= n, "not-given-back", "{seen}.");
                ensure!(sent == n, "wrong-result", "{seen}.");
                // Two looks more than there are messages.
                (0..n + 2).for_each(|_| _ = receiver.try_recv());
            }
        }
        let (sender, mut receiver) = channel(1);
        let _ = sender.try_send(1);
        let mut waits = Waiting::new("A", sender.send(2));
        waits.waits();
        note("a message is taken, and one more is looked for");
        let got = [receiver.try_recv(), receiver.try_recv()];
        ensure!(
            got == [Ok(1), Err(TryRecvError::Empty)],
            "wrong-result",
            "1 was sent, and A is to send 2. Received were {got:?}."
        );
        let full = sender.try_send(3);
        ensure!(
            full == Err(TrySendError::Full(3)),
            "overtaken",
            "There was room for one, and A was called for it: `try_send` gave {full:?}."
        );
    }

    /// A sink that has waited for room waits for it again: the ticket of its last wait is gone.
    "14.5" with "14.2" fn a_sink_waits_for_each_message() {
        let (mut sink, mut receiver) = sink();
        let (_bell, waker) = Bell::new();
        let cx = &mut Context::from_waker(&waker);
        for n in 0..4 {
            let mut ready = Pin::new(&mut sink).poll_ready(cx);
            if n > 0 {
                ensure!(ready.is_pending(), "wrong-result", "The channel is full, and the sink was ready: {ready:?}.");
                let got = receiver.try_recv();
                ensure!(got == Ok(n - 1), "data-lost", "{} was sent, and {got:?} was received.", n - 1);
                ready = Pin::new(&mut sink).poll_ready(cx);
            }
            ensure!(
                ready == Poll::Ready(Ok(())),
                "wrong-result",
                "There is room, and the channel is open. Before message {n}, the sink was asked whether it is \
                 ready: {ready:?}. A ticket is good for one wait."
            );
            let _ = Pin::new(&mut sink).start_send(n);
        }
    }

    /// A sender that is called because there is room may use the channel at once.
    "14.5" fn wakes_senders_unlocked() {
        let (sender, mut receiver) = channel(1);
        let _ = sender.try_send(1);
        let other = sender.clone();
        let mut send = Box::pin(sender.send(2));
        pending(send.as_mut(), &meddler(Moment::Wake, move || _ = other.try_send(3)));
        let got = receiver.try_recv();
        ensure!(got == Ok(1), "wrong-result", "1 was sent, and received was {got:?}.");
    }

    /// The end comes when the last sender is gone, and after the last message.
    "14.5" fn the_end_comes_last() {
        let (sender, mut receiver) = channel(2);
        let second = sender.clone();
        let _ = sender.try_send(1);
        drop(sender);
        let _ = second.try_send(2);
        drop(second);
        let got = [(); 2].map(|()| receiver.try_recv());
        ensure!(
            got == [Ok(1), Ok(2)],
            "data-lost",
            "1 and 2 were sent, and the senders dropped. Received were {got:?}."
        );
        let got = receiver.try_recv();
        ensure!(
            got == Err(TryRecvError::Disconnected),
            "wrong-result",
            "The senders are gone, and what they sent was received. `try_recv` gave {got:?} after that: \
             whoever waits for more waits for ever."
        );
        let (sender, mut receiver) = unbounded::<u32>();
        let second = sender.clone();
        thread::spawn(move || {
            let _ = second.send(1);
            drop(second);
            thread::sleep(Duration::from_millis(20));
            drop(sender);
        });
        let got = block_on(watch("receiver", async { [receiver.recv().await, receiver.recv().await] }));
        ensure!(
            got == [Some(1), None],
            "wrong-result",
            "1 was sent, and then the senders were dropped. Received were {got:?}."
        );
    }

    /// A sender that sends and goes is heard to the end, whatever comes in between of what.
    "14.5" fn the_end_in_every_order() {
        let orders = every_order(sends_and_goes);
        let Some(order) = orders.example() else { return };
        fail!(
            "data-lost",
            "A sender sends 1 and is dropped. {}. One of them:\n\n{order}", no_good_end(&orders)
        );
    }

    /// A closed channel gives out what was sent before, and gives back what comes after.
    "14.5" fn a_closed_channel() {
        let (sender, mut receiver) = channel(1);
        let _ = sender.try_send(1);
        let mut waits = Waiting::new("A", sender.send(2));
        waits.waits();
        note("the channel is closed");
        receiver.close();
        let rung = waits.bell.rung();
        ensure!(rung == 1, "never-woken", "A waited for room; the channel was closed; nobody woke it.");
        let back = waits.poll();
        ensure!(
            back == Poll::Ready(Err(SendError(2))),
            "wrong-result",
            "A waited to send 2, and the channel was closed. `send` gave {back:?}."
        );
        let got = receiver.try_recv();
        ensure!(got == Ok(1), "data-lost", "1 was sent, and the channel closed after that: {got:?} came.");
        let got = receiver.try_recv();
        ensure!(
            got == Err(TryRecvError::Disconnected),
            "wrong-result",
            "The channel is closed, and there is a sender yet. 1 was received, and `try_recv` gave {got:?} \
             after that. Nothing can be sent any more: whoever waits for it waits for ever."
        );
        drop(receiver);
        ensure!(sender.is_closed(), "wrong-result", "The receiver is gone, and `is_closed` was false.");
    }

    /// A closed channel is over at once: a sender that was called before cannot send any more.
    "14.5" fn over_though_a_sender_was_called() {
        let (sender, mut receiver) = channel(1);
        let _ = sender.try_send(1);
        let mut called = Waiting::new("A", sender.send(2));
        called.waits();
        note("A is called for room, and the channel is closed");
        let got = receiver.try_recv();
        ensure!(got == Ok(1), "data-lost", "1 was sent, and {got:?} was received.");
        receiver.close();
        let got = receiver.try_recv();
        ensure!(
            got == Err(TryRecvError::Disconnected),
            "wrong-result",
            "A was called for room, and the channel was closed before it sent. `try_recv` gave {got:?} after \
             that. Not even a sender that was called can send then: whoever waits for it waits for ever."
        );
        let back = called.poll();
        ensure!(
            back == Poll::Ready(Err(SendError(2))),
            "wrong-result",
            "A was called for room, and the channel was closed before it sent. `send` gave {back:?}."
        );
    }

    /// Whatever becomes of a message, it is dropped once.
    "14.5" fn a_message_is_dropped_once() {
        let drops = Drops::default();
        let (sender, mut receiver) = channel::<DropToken>(2);
        let _ = sender.try_send(drops.token());
        let _ = sender.try_send(drops.token());
        drop(receiver.try_recv());
        drop((receiver, sender));
        let count = drops.count();
        ensure!(count == 2, "leak", "Of 2 messages one was received and one was not: {count} dropped.");
    }

    /// Once the queue has grown, a message costs no allocation.
    "14.5" fn a_message_allocates_nothing() {
        let (sender, mut receiver) = channel(4);
        let mut exchange = |rounds| {
            for n in 0..rounds {
                for _ in 0..4 {
                    let _ = sender.try_send(n);
                }
                while receiver.try_recv().is_ok() {}
            }
        };
        exchange(2);
        let count = allocations(|| exchange(100));
        ensure!(
            count == 0,
            "allocates",
            "400 messages took {count}.",
            count = many(count, "allocation")
        );
    }

    /// Every subscriber gets every message, and learns of the end.
    "14.6" fn everybody_gets_everything() {
        let sender = Broadcast::new(4);
        let mut subscribers = [sender.subscribe(), sender.subscribe()];
        sender.send(1);
        let mut late = sender.subscribe();
        sender.send(2);
        for subscriber in &mut subscribers {
            let got = [now(subscriber.recv()), now(subscriber.recv())];
            ensure!(
                got == [Some(Ok(1)), Some(Ok(2))],
                "data-lost",
                "1 and 2 were sent to all subscribers. Received were {got:?}."
            );
        }
        let got = now(late.recv());
        ensure!(got == Some(Ok(2)), "wrong-result", "A subscriber that came after 1 got {got:?}, not 2.");
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            drop(sender);
        });
        let got = block_on(watch("subscriber", late.recv()));
        ensure!(got == Err(RecvError::Closed), "wrong-result", "After the end it got {got:?}.");
    }

    /// A subscriber that is too slow is told how many messages it has missed, and gets the next.
    "14.6" fn who_is_slow_is_told() {
        let sender = Broadcast::new(2);
        let mut subscriber = sender.subscribe();
        sender.send(0);
        let first = now(subscriber.recv());
        ensure!(first == Some(Ok(0)), "data-lost", "0 was sent, and {first:?} received.");
        (1..6).for_each(|n| sender.send(n));
        let got = [(); 3].map(|()| now(subscriber.recv()));
        let seen = format!("0 was sent and received. Then 1 to 5 were sent, with room for two. Received were {got:?}");
        let told = matches!(got[0], Some(Err(RecvError::Lagged(_))));
        ensure!(told && got[1..] == [Some(Ok(4)), Some(Ok(5))], "data-lost", "{seen}.");
        ensure!(
            got[0] == Some(Err(RecvError::Lagged(3))),
            "wrong-result",
            "{seen}. Missed were 1, 2 and 3, and `Lagged` says how many that is."
        );
    }

    /// A `recv` that is dropped has taken no message, whether it was told of one or not.
    "14.6" fn a_dropped_recv_takes_none() {
        for told in [false, true] {
            let sender = Broadcast::new(4);
            let mut subscriber = sender.subscribe();
            let mut recv = Waiting::new("subscriber", subscriber.recv());
            recv.waits();
            note(if told { "1 is sent, and the `recv` is dropped" } else { "the `recv` is dropped" });
            let mut recv = Some(recv);
            if !told {
                recv = None;
            }
            sender.send(1);
            drop(recv);
            let got = now(subscriber.recv());
            ensure!(
                got == Some(Ok(1)),
                "data-lost",
                "A `recv` waited and was dropped{}. 1 was sent, and the next `recv` gave {got:?}.",
                if told { " after it was told of a message" } else { "" }
            );
        }
    }

    /// A message that is sent at any moment of the question arrives.
    "14.6" fn a_broadcast_in_every_order() {
        let orders = every_order(|| {
            let sender = Broadcast::new(4);
            let subscriber = sender.subscribe();
            let sends = actor("sender", move || {
                pass_free_locks();
                sender.send(7);
                mem::forget(sender);
            });
            vec![receiver(subscriber, &[7]), sends]
        });
        let Some(order) = orders.example() else { return };
        fail!(
            "lost-wake",
            "{}. One of them:\n\n{order}", no_good_end(&orders)
        );
    }

    /// News of a message that it already has is no reason to give up.
    "14.6" fn two_messages_in_every_order() {
        let orders = every_order(|| {
            let sender = Broadcast::new(4);
            let subscriber = sender.subscribe();
            let sends = actor("sender", move || {
                pass_free_locks();
                sender.send(7);
                sender.send(8);
                mem::forget(sender);
            });
            vec![receiver(subscriber, &[7, 8]), sends]
        });
        let Some(order) = orders.example() else { return };
        fail!(
            "lost-wake",
            "Two messages. {}. One of them:\n\n{order}", no_good_end(&orders)
        );
    }

    /// An `Enter` that is dropped gives up its place at the gate, and its waker.
    "14.7" fn a_place_at_the_gate_is_given_up() {
        let gate = Gate::new(0);
        let (gone, waker) = Bell::new();
        let mut first = Box::pin(gate.enter());
        pending(first.as_mut(), &waker);
        let mut second = Waiting::new("B", gate.enter());
        second.waits();
        note("A is dropped");
        drop(first);
        let kept = owners(&gone);
        ensure!(
            kept == 0,
            "piles-up",
            "A waited and was dropped, and there is still {kept} of its waker.",
            kept = many(kept, "clone")
        );
        note("the gate is opened");
        gate.open();
        let rung = second.bell.rung();
        ensure!(rung == 1, "not-passed-on", "A had been dropped. B was woken {rung} times, not once.");
        second.goes_on();
    }

    /// An `Enter` that was woken and is dropped before it has asked again passes the wake on.
    "14.7" fn a_wake_at_the_gate_is_passed_on() {
        let gate = Gate::new(0);
        let mut first = Waiting::new("A", gate.enter());
        let mut second = Waiting::new("B", gate.enter());
        first.waits();
        second.waits();
        note("the gate is opened: A is woken");
        gate.open();
        note("A is dropped");
        drop(first);
        let rung = second.bell.rung();
        ensure!(
            rung == 1,
            "not-passed-on",
            "There is a pass. A was woken for it and dropped before it was polled; B was woken {rung} \
             times. Needed: 1."
        );
        let mut third = Waiting::new("C", gate.enter());
        second.goes_on();
        third.waits();
        note("B, which is through, is dropped");
        drop(second);
        let rung = third.bell.rung();
        ensure!(
            rung == 0,
            "woken-for-nothing",
            "There is no pass left, and C was woken {rung}.",
            rung = times(rung)
        );
        // One that was woken, and finds that another was faster, has nothing to pass on either.
        let mut fourth = Waiting::new("D", gate.enter());
        fourth.waits();
        note("the gate is opened: C is woken");
        gate.open();
        Waiting::new("E", gate.enter()).goes_on();
        note("E has the pass; C is dropped");
        drop(third);
        let rung = fourth.bell.rung();
        ensure!(
            rung == 0,
            "woken-for-nothing",
            "There is no pass left, and D was woken {rung}.",
            rung = times(rung)
        );
    }

    /// One wake for one pass: a dropped `Enter` wakes the first waiter, or nobody.
    "14.7" fn at_the_gate_one_is_woken() {
        let gate = Gate::new(0);
        let mut waiting =
            ["A", "B", "C", "D", "E", "F"].map(|name| Some(Waiting::new(name, gate.enter())));
        waiting.iter_mut().flatten().for_each(|enter| enter.waits());
        let mut drops = |n: usize, what: &str, needed: &[u32]| {
            waiting[n] = None;
            let rung = waiting.iter().skip(2).flatten().map(|enter| enter.bell.rung());
            let rung = rung.collect::<Vec<_>>();
            let seen = format!("{what} Those behind B were woken {rung:?} times. Needed: {needed:?}");
            let wakes = |rung: &[u32]| rung.iter().sum::<u32>();
            ensure!(wakes(&rung) >= wakes(needed), "not-passed-on", "{seen}.");
            ensure!(wakes(&rung) == wakes(needed), "woken-for-nothing", "{seen}.");
            ensure!(rung == needed, "overtaken", "{seen}.");
        };
        note("the gate is opened twice: A and B are woken");
        gate.open();
        gate.open();
        drops(0, "A and B were woken for two passes. A is dropped.", &[1, 0, 0, 0]);
        drops(2, "A was dropped, so C was woken. C is dropped.", &[1, 0, 0]);
        drops(4, "B and D were woken for two passes. E, which waits, is dropped.", &[0, 0]);
        drops(3, "B and D were woken for two passes. D is dropped.", &[1]);

        let gate = Gate::new(0);
        let mut waiting = NAMES.map(|name| Some(Waiting::new(name, gate.enter())));
        waiting.iter_mut().flatten().for_each(|enter| enter.waits());
        note("the gate is opened: A is woken");
        gate.open();
        waiting[0].iter_mut().for_each(|enter| enter.goes_on());
        note("the gate is opened: B is woken");
        gate.open();
        note("A, which is through, is dropped");
        waiting[0] = None;
        let rung = waiting[2].iter().map(|enter| enter.bell.rung()).sum::<u32>();
        ensure!(
            rung == 0,
            "woken-for-nothing",
            "A was through, and B is to come. C was woken {rung}.",
            rung = times(rung)
        );
    }

    /// A dropped `Enter` wakes the next when the lock is free, and drops its waker then.
    "14.7" fn leaves_the_gate_unlocked() {
        let gate: &'static Gate = Box::leak(Box::new(Gate::new(0)));
        let uses = move || {
            let _ = pin!(gate.enter()).poll(&mut Context::from_waker(Waker::noop()));
        };
        let mut called = Box::pin(gate.enter());
        pending(called.as_mut(), Waker::noop());
        let mut woken = keep(Box::pin(gate.enter()));
        pending(woken.as_mut(), &meddler(Moment::Wake, uses));
        let mut dropped = Box::pin(gate.enter());
        pending(dropped.as_mut(), &meddler(Moment::Drop, uses));
        drop(dropped);
        gate.open();
        drop(called);
    }

    /// In the queue when it is dropped, or woken by then: the wake that comes meanwhile is not lost.
    "14.7" fn dropped_at_the_gate_in_every_order() {
        let orders = every_order(|| {
            let gate: &'static Gate = Box::leak(Box::new(Gate::new(0)));
            drops_the_first(|| gate.enter(), "open the gate", || gate.open())
        });
        let Some(order) = orders.example() else { return };
        fail!(
            "not-passed-on",
            "A and B wait. A is dropped, and the gate is opened: in every order B is woken in the end. {}. \
             One of them:\n\n{order}", no_good_end(&orders)
        );
    }

    /// Three wait at a gate that is opened twice, and one is dropped, whenever: two come through.
    "14.7" fn a_gate_with_a_drop_at_every_step() {
        for victim in 0..3 {
            for moment in 0..14 {
                let gate = Gate::new(0);
                let mut waiting = NAMES.map(|name| Some(Waiting::new(name, gate.enter())));
                let mut through = Vec::new();
                for step in 0..14 {
                    if step == moment && waiting[victim].take().is_some() && moment > 3 {
                        note("one of the three is dropped");
                    }
                    if [3, 4].contains(&step) {
                        gate.open();
                    }
                    let Some(enter) = &mut waiting[step % 3] else { continue };
                    if (step < 3 || enter.bell.rung() > 0) && enter.poll().is_ready() {
                        through.push(enter.name);
                        waiting[step % 3] = None;
                    }
                }
                let needed = through.contains(&NAMES[victim]);
                let others = NAMES.iter().filter(|name| through.contains(name)).count();
                ensure!(
                    others == 2,
                    "not-passed-on",
                    "A, B and C waited, and the gate was opened twice. {} was dropped before step \
                     {moment} of 14{}. {through:?} came through, and one pass is left.",
                    NAMES[victim], if needed { ", when it was through" } else { "" }
                );
            }
        }
    }
}

/// How many orders of a play come to no good end.
fn no_good_end(orders: &Orders) -> String {
    orders.tally("comes to no good end", "come to no good end")
}

/// The actors of one wait: a waiter that is polled until it is ready, and somebody who notifies.
fn notifies(all: bool, moves: bool) -> Vec<Actor> {
    let notify: &'static Notify = Box::leak(Box::new(Notify::new()));
    let notified = notify.notified();
    let waits = actor("waiter", move || sleep_until_ready(notified, moves));
    let notifies = actor("notifier", move || {
        point(if all { "notify all" } else { "notify one" });
        if all { notify.notify_waiters() } else { notify.notify_one() }
    });
    vec![waits, notifies]
}

/// The actors of one drop: A and B wait, A is dropped, and one is called.
fn drops_the_first<F: Future<Output = ()> + Send + 'static>(
    waits: impl Fn() -> F,
    what: &'static str,
    calls: impl FnOnce() + Send + 'static,
) -> Vec<Actor> {
    let [mut first, mut second] = [(); 2].map(|()| Box::pin(waits()));
    let (bell, waker) = Bell::new();
    pending(first.as_mut(), Waker::noop());
    pending(second.as_mut(), &waker);
    let drops = actor("A", move || {
        point("is dropped");
        drop(first);
    });
    let sleeps = actor("B", move || {
        wait_until("sleep", move || bell.is_rung());
        mem::forget(second);
    });
    let calls = actor("caller", move || {
        point(what);
        calls();
    });
    vec![drops, sleeps, calls]
}

/// The actors of one channel: a receiver that looks once, and a sender.
fn sends_and_goes() -> Vec<Actor> {
    let (sender, mut receiver) = channel(1);
    let receives = actor("receiver", move || {
        point("look for a message");
        let got = receiver.try_recv();
        mem::forget(receiver);
        if got == Err(TryRecvError::Disconnected) {
            // The end of this play, and not of the check.
            resume_unwind(Box::new(format!("`try_recv` gave {got:?}, and 1 is in the channel")));
        }
    });
    let sends = actor("sender", move || {
        point("send, and go");
        let _ = sender.try_send(1);
    });
    vec![receives, sends]
}

/// In a play: polls until it is ready, and sleeps in between. If it moves, it is first polled in another
/// task.
fn sleep_until_ready<F: Future>(future: F, moves: bool) -> F::Output {
    let (bell, waker) = Bell::new();
    let mut future = keep(Box::pin(future));
    let mut poll = |label, waker: &Waker| {
        point(label);
        future.as_mut().poll(&mut Context::from_waker(waker))
    };
    if moves && let Poll::Ready(output) = poll("poll, in another task", Waker::noop()) {
        return output;
    }
    loop {
        if let Poll::Ready(output) = poll("poll", &waker) {
            return output;
        }
        let alarm = bell.clone();
        wait_until("sleep", move || alarm.is_rung());
        bell.rung();
    }
}

/// Receives these messages, and sleeps when there is none.
fn receiver(mut subscriber: Subscriber<u32>, messages: &'static [u32]) -> Actor {
    actor("subscriber", move || {
        pass_free_locks();
        let (bell, waker) = Bell::new();
        for message in messages {
            let mut recv = pin!(subscriber.recv());
            loop {
                let mut cx = Context::from_waker(&waker);
                if let Poll::Ready(got) = recv.as_mut().poll(&mut cx) {
                    ensure!(
                        got == Ok(*message),
                        "data-lost",
                        "{message} was sent next, and {got:?} received."
                    );
                    break;
                }
                let alarm = bell.clone();
                wait_until("sleep", move || alarm.is_rung());
                bell.rung();
            }
        }
    })
}

/// The names of the waiters in most checks, in the order of arrival.
const NAMES: [&str; 3] = ["A", "B", "C"];

/// A future that is watched, with a bell for a waker.
struct Waiting<'a, T> {
    name: &'static str,
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl<'a, T> Waiting<'a, T> {
    fn new(name: &'static str, future: impl Future<Output = T> + 'a) -> Self {
        let (bell, waker) = Bell::new();
        Waiting { name, future: Box::pin(watch(name, future)), bell, waker }
    }

    fn poll(&mut self) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }

    /// Polls it; there is nothing for it.
    fn waits(&mut self) {
        let name = self.name;
        let waits = self.poll().is_pending();
        ensure!(waits, "wrong-result", "There was nothing for {name} yet, and it was ready.");
    }

    /// Polls it; it is its turn.
    fn goes_on(&mut self) -> T {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => fail!(
                "stuck",
                "It was the turn of {}, and when it was polled, it was pending.", self.name
            ),
        }
    }
}

/// Polls for a permit that has to be there.
fn permit<T, E>(waiting: &mut Waiting<'_, Result<T, E>>) -> T {
    match waiting.goes_on() {
        Ok(permit) => permit,
        Err(_) => fail!("wrong-result", "The semaphore is open, and `acquire` gave an error."),
    }
}

/// Writes down what the check does.
fn note(what: &'static str) {
    ledger().record("check", Event::Note(what));
}

/// What there is for it at once.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls once; there is nothing for it yet.
fn pending<F: Future>(future: Pin<&mut F>, waker: &Waker) {
    let waits = future.poll(&mut Context::from_waker(waker)).is_pending();
    ensure!(waits, "wrong-result", "There was nothing for it yet, and it was ready.");
}

/// Keeps something for good: for checks that come before its `drop` is written.
fn keep<T>(something: T) -> ManuallyDrop<T> {
    ManuallyDrop::new(something)
}

/// How many clones of its waker there are, besides the one that came with the bell.
fn owners(bell: &Arc<Bell>) -> usize {
    Arc::strong_count(bell) - 2
}

/// When a [`meddler`] comes into action.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Wake,
    Drop,
}

/// A waker that uses what it waits for, when it is woken or dropped: on another thread, so that a lock
/// that is held shows as an answer that does not come, and not as the end of everything.
fn meddler(moment: Moment, uses: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Meddler { moment, uses: Arc::new(uses) }).into()
}

/// See [`meddler`].
struct Meddler {
    moment: Moment,
    uses: Arc<dyn Fn() + Send + Sync>,
}

impl Meddler {
    fn meddle(&self, moment: Moment) {
        if moment == self.moment {
            let uses = self.uses.clone();
            meddle(moment, move || uses());
        }
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.meddle(Moment::Wake);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle(Moment::Drop);
    }
}

/// Has another thread do this, at this moment in the life of a waker.
fn meddle(moment: Moment, uses: impl FnOnce() + Send + 'static) {
    let (answered, answer) = mpsc::channel();
    thread::spawn(move || {
        uses();
        let _ = answered.send(());
    });
    if answer.recv_timeout(scaled(Duration::from_millis(300))).is_err() {
        let what = if moment == Moment::Wake { "woken" } else { "dropped" };
        fail!(
            "woken-under-lock",
            "While a waker was being {what}, another thread used what it waits for, and had \
             no answer for 300 ms: there is a lock that is held until the waker is done."
        );
    }
}
