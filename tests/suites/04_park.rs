// The checks of chapter 4. `subject` is the code under examination.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::heard::News;
use crate::support::schedules::{
    Orders, actor, end_sleeps_early, every_order, in_one_step_with_the_next, model, note, points,
    wait_until,
};
use crate::support::{
    Event, Ledger, allocations, ball_game, checks, ensure, fail, later, ledger, many, scaled,
    self_wakes, thread_cpu_time,
};

use subject::block_on;
use subject::extend::{Bell, CondvarParker, block_on_for};

checks! {
    /// A future that is ready at once needs no wake.
    "4.1" fn ready_at_once() {
        let output = block_on(async { 6 * 7 });
        ensure!(output == 42, "wrong-result", "`block_on(async {{ 6 * 7 }})` gave {output}.");
    }

    /// From the second call on a thread on, a future that is ready costs no allocation.
    "4.1" fn no_allocation() {
        block_on(async {});
        let count = allocations(|| block_on(async {}));
        ensure!(
            count == 0,
            "allocates",
            "With a future that is ready, the second `block_on` on a thread made {count} \
             allocations; it needs none."
        );
    }

    /// A wake from another thread ends the sleep, and the future is polled again.
    "4.2" with "4.3" fn woken_by_another_thread() {
        block_on(later(30));
    }

    /// Every poll but the first uses up a wake: the first wait leaves nothing for the second.
    "4.2" with "4.3" fn every_poll_uses_up_a_wake() {
        block_on(async {
            later(50).await;
            later(50).await;
        });
        // Code that asks without end may be done before the last wake is written down.
        while ledger().count(Event::Wake) < 2 {
            thread::yield_now();
        }
        let polls = ledger().count(Event::Poll);
        ensure!(
            polls <= 5,
            "busy-poll",
            "Two waits of 50 ms each took {polls} polls; 4 are enough."
        );
    }

    /// What else may end a `thread::park` ends no sleep.
    "4.2" with "4.3" fn an_unpark_is_no_wake() {
        block_on(async {
            ledger().record("somebody", Event::Note("unparks the thread, and wakes nobody"));
            thread::current().unpark();
            later(30).await;
        });
        let polls = ledger().count(Event::Poll);
        ensure!(
            polls == 2,
            "busy-poll",
            "A wait with one wake took {polls}; it needs 2.",
            polls = many(polls, "poll")
        );
    }

    /// While the future waits, the thread sleeps: it does not ask the flag over and over.
    "4.2" with "4.3" fn sleeps_instead_of_spinning() {
        sleeps(40, || {
            block_on(later(40));
        });
    }

    /// A wake that comes before the sleep is not lost.
    "4.3" with "4.2" fn a_wake_before_the_sleep() {
        block_on(self_wakes(3));
    }

    /// Code inside the future may park too: that takes no wake away.
    "4.3" with "4.2" fn the_future_parks_as_well() {
        let ledger = ledger();
        let mut first = true;
        block_on(poll_fn(|cx| {
            ledger.record("parking future", Event::Poll);
            if !first {
                return Poll::Ready(());
            }
            first = false;
            ledger.record("parking future", Event::Wake);
            cx.waker().wake_by_ref();
            ledger.record("parking future", Event::Park);
            thread::park_timeout(Duration::from_millis(10));
            ledger.record("parking future", Event::Unpark);
            ledger.record("parking future", Event::Pending);
            Poll::Pending
        }));
    }

    /// A `block_on` inside a `block_on` works, and takes no wake from the outer one.
    "4.3" with "4.2" fn nested() {
        let output = block_on(async {
            let inner = block_on(later(10));
            self_wakes(1).await;
            (inner, later(10).await)
        });
        ensure!(output == ("done", "done"), "wrong-result", "The two gave {output:?}.");
    }

    /// A waker that is woken after its `block_on` has ended does no harm.
    "4.3" with "4.2" fn woken_after_the_end() {
        let mut kept = None;
        block_on(poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        let kept = kept.expect("the future was polled");
        kept.wake_by_ref();
        block_on(later(10));
        kept.wake();
    }

    /// In no order of steps is a wake lost, and the poll after it sees what was done before it.
    "4.3" with "4.2" fn every_order_of_two_wakes() {
        // Nothing to play: std's own flag does not stop for us.
        if points(|| block_on(self_wakes(1))) == 0 {
            return;
        }
        Ledger::close();
        let as_known = play_block_on(News::is_known);
        let as_done = if as_known.bad.is_empty() { return } else { play_block_on(News::is_done) };
        for (orders, known) in [(as_done, false), (as_known, true)] {
            let Some(order) = orders.example() else { continue };
            let (bad, all) = (orders.bad.len(), orders.total);
            if order.why.as_ref().is_some_and(|why| why.contains("circles")) {
                fail!(
                    "spins",
                    "While it waits, the thread does not sleep: it looks over and over.\n\n{order}"
                );
            }
            ensure!(known, "lost-wake", "{bad} of {all} orders go wrong. One of them:\n\n{order}");
            fail!(
                "unseen",
                "The flag is seen, but what was done before it was set need not be: it was not handed \
                 on. So the last poll answers `Pending`, in {bad} of {all} orders. One of them:\n\n\
                 {order}"
            );
        }
    }

    /// Of many wakes none is lost, whether it comes during a poll, during a sleep or between them.
    "4.3" with "4.2" fn twenty_thousand_wakes() {
        let wakes = 20_000;
        if let Err(lost) = ball_game(wakes, scaled(Duration::from_millis(600)), block_on) {
            fail!(
                "lost-wake",
                "Two threads woke each other in turn. Of {wakes} wakes, no. {lost} was lost: nobody \
                 polled after it."
            );
        }
    }

    /// In no order of its steps does the condition variable's parker lose a wake.
    "4.4" with "4.5" fn condvar_in_every_order() {
        for waits in 1..=if cfg!(miri) { 1 } else { 2 } {
            let orders = play(a_condvar_parker, waits, Stray::Nothing);
            if let Some(order) = orders.example() {
                let (bad, all) = (orders.bad.len(), orders.total);
                fail!("lost-wake", "{bad} of {all} orders go wrong. One of them:\n\n{order}");
            }
        }
    }

    /// The condition variable's parker is woken by another thread.
    "4.4" with "4.5" fn condvar_woken_by_another_thread() {
        let parker = CondvarParker::default();
        wake_later(20, &parker);
        executor_parks(&parker);
    }

    /// While nobody wakes, the condition variable's parker sleeps.
    "4.4" with "4.5" fn condvar_sleeps_instead_of_spinning() {
        sleeps(40, || {
            let parker = CondvarParker::default();
            wake_later(40, &parker);
            executor_parks(&parker);
        });
    }

    /// Whoever waits on a condition variable may go on for no reason: that is no wake.
    "4.4" with "4.5" fn condvar_looks_again() {
        let orders = play(a_condvar_parker, 1, Stray::EarlyEnd);
        if let Some(order) = orders.example() {
            let (bad, all) = (orders.bad.len(), orders.total);
            fail!("busy-poll", "{bad} of {all} orders go wrong. One of them:\n\n{order}");
        }
    }

    /// The condition variable's parker forgets no wake.
    "4.5" with "4.4" fn condvar_woken_before_the_sleep() {
        let parker = CondvarParker::default();
        ledger().record("executor", Event::Poll);
        ledger().record("helper", Event::Wake);
        parker.waker().wake();
        ledger().record("executor", Event::Pending);
        parker.park();
    }

    /// The condition variable's parker remembers no wake twice.
    "4.5" with "4.4" fn condvar_uses_up_a_wake() {
        let parker = CondvarParker::default();
        ledger().record("helper", Event::Wake);
        parker.waker().wake();
        executor_parks(&parker);
        wake_later(30, &parker);
        executor_parks(&parker);
        let wakes = ledger().count(Event::Wake);
        ensure!(wakes == 2, "busy-poll", "One wake ended two sleeps; it may end one.");
    }

    /// With time enough, `block_on_for` is a `block_on`.
    "4.6" fn in_time() {
        let output = block_on_for(later(20), Duration::from_secs(1000));
        ensure!(output == Some("done"), "wrong-result", "It gave {output:?}.");
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 3, "busy-poll", "A wait of 20 ms took {polls} polls; 2 are enough.");
    }

    /// A wake that comes before the sleep is not lost, and the time is not waited out.
    "4.6" fn woken_before_it_sleeps_in_time() {
        let output = block_on_for(self_wakes(2), Duration::from_secs(1000));
        ensure!(output.is_some(), "wrong-result", "It gave {output:?}.");
    }

    /// Each wake is used up: after one the future is polled once, and then the thread sleeps.
    "4.6" fn every_wake_in_time_is_used_up() {
        let output = block_on_for(
            async {
                later(10).await;
                later(30).await;
            },
            Duration::from_secs(1000),
        );
        ensure!(output.is_some(), "wrong-result", "It gave {output:?}.");
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 6, "busy-poll", "Two waits took {polls} polls; 4 are enough.");
    }

    /// When the time is over, `block_on_for` gives up, and has slept until then.
    "4.6" fn too_late() {
        let output = block_on_for(later(1000), Duration::from_millis(40));
        ensure!(
            output.is_none(),
            "wrong-result",
            "A future that is ready after 1000 ms gave {output:?}; the limit was 40 ms."
        );
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 2, "busy-poll", "Giving up after 40 ms took {polls} polls; 1 is enough.");
    }

    /// A future that is woken again and again must end in time as well.
    "4.6" fn too_late_though_always_awake() {
        let start = Instant::now();
        let output = block_on_for(
            poll_fn(|cx| {
                if start.elapsed() > scaled(Duration::from_millis(1000)) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }),
            Duration::from_millis(20),
        );
        ensure!(
            output.is_none(),
            "wrong-result",
            "A future that wakes itself at every poll ran for 1000 ms; the limit was 20 ms, counted \
             from the call and not from each sleep."
        );
    }

    /// No order of the steps of `wait` and `ring` hangs.
    "4.7" fn no_order_hangs() {
        let orders = play(a_bell, 1, Stray::Nothing);
        if let Some(order) = orders.example() {
            let (bad, all) = (orders.bad.len(), orders.total);
            let unseen = order.why.as_ref().is_some_and(|why| why.contains(UNSEEN));
            ensure!(!unseen, "unseen", "{bad} of {all} orders go wrong. One of them:\n\n{order}");
            fail!("lost-wake", "Of {all} orders {bad} hang. One of them:\n\n{order}");
        }
    }

    /// In no order does `wait` return without a ring of its own, whoever else unparks the thread.
    "4.7" fn no_order_returns_without_a_ring() {
        for orders in [play(a_bell, 1, Stray::Unpark), play(a_bell, 2, Stray::Nothing)] {
            if let Some(order) = orders.example() {
                let (bad, all) = (orders.bad.len(), orders.total);
                fail!("busy-poll", "Of {all} orders {bad} go wrong. One of them:\n\n{order}");
            }
        }
    }
}

/// Wakes `parker` from another thread, in `ms` milliseconds.
fn wake_later(ms: u64, parker: &CondvarParker) {
    let (waker, ledger) = (parker.waker(), ledger());
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(ms));
        ledger.record("helper", Event::Wake);
        waker.wake();
    });
}

/// What an executor does after a poll that was pending.
fn executor_parks(parker: &CondvarParker) {
    ledger().record("executor", Event::Poll);
    ledger().record("executor", Event::Pending);
    ledger().record("executor", Event::Park);
    parker.park();
    ledger().record("executor", Event::Unpark);
}

/// Fails if `wait`, which takes `ms` milliseconds, keeps this thread busy.
fn sleeps(ms: u64, wait: impl FnOnce()) {
    let before = thread_cpu_time();
    wait();
    let busy = thread_cpu_time().zip(before).map_or(0, |(now, then)| (now - then).as_millis());
    ensure!(
        busy <= u128::from(ms / 4),
        "busy-poll",
        "A wait of {ms} ms kept the thread busy for {busy} ms; a thread that sleeps needs next \
         to nothing."
    );
}

/// Plays `block_on` with a future that two threads make ready, each with a wake. `seen` says whether
/// a poll sees what a thread has done.
fn play_block_on(seen: fn(&News) -> bool) -> Orders {
    every_order(move || {
        let news = Arc::new([News::default(), News::default()]);
        let slots = [(); 2].map(|()| Arc::new(Mutex::new(None::<Waker>)));
        let sleeper = actor("sleeper", {
            let (news, slots) = (news.clone(), slots.clone());
            let polls = Cell::new(0);
            move || {
                block_on(poll_fn(|cx| {
                    polls.set(polls.get() + 1);
                    if polls.get() == 1 {
                        let keep = |slot: &Mutex<_>| *slot.lock().unwrap() = Some(cx.waker().clone());
                        slots.iter().for_each(|slot| keep(slot));
                    }
                    let ready = news.iter().all(seen);
                    note(if ready { "poll → Ready" } else { "poll → Pending" });
                    if ready { Poll::Ready(()) } else { Poll::Pending }
                }));
            }
        });
        let wakers = ["one", "other"].into_iter().zip(slots).enumerate().map(|(n, (name, slot))| {
            let news = news.clone();
            actor(name, move || {
                let kept = slot.clone();
                wait_until("make it ready", move || kept.lock().unwrap().is_some());
                news[n].done();
                in_one_step_with_the_next();
                slot.lock().unwrap().take().expect("it is there").wake();
            })
        });
        [sleeper].into_iter().chain(wakers).collect()
    })
}

/// What a sleeper has to play with, made on its thread: how it waits, and how it is woken.
type Sleep = (Box<dyn Fn()>, Box<dyn Fn() + Send>);

fn a_bell() -> Sleep {
    let bell = Arc::new(Bell::new());
    (Box::new({ let bell = bell.clone(); move || bell.wait() }), Box::new(move || bell.ring()))
}

fn a_condvar_parker() -> Sleep {
    let parker = CondvarParker::default();
    let waker = parker.waker();
    (Box::new(move || parker.park()), Box::new(move || waker.wake_by_ref()))
}

/// What else happens in a play.
#[derive(Clone, Copy, PartialEq)]
enum Stray {
    Nothing,
    /// Somebody unparks the sleeper, for another reason.
    Unpark,
    /// The sleep is over for a moment, for no reason.
    EarlyEnd,
}

/// What is said of a sleeper that goes on and does not see what it was woken for.
const UNSEEN: &str = "does not see";

/// Plays some waits, and a ring for each, in every order.
fn play(make: fn() -> Sleep, waits: u32, stray: Stray) -> Orders {
    every_order(move || {
        // Sent before the first step of the play, so that waiting for it is no step.
        let (give, take) = mpsc::channel::<Box<dyn Fn() + Send>>();
        let (give_thread, take_thread) = mpsc::channel::<model::thread::Thread>();
        let news: Arc<Vec<News>> = Arc::new((0..waits).map(|_| News::default()).collect());
        let (rung, waited) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let sleeper = actor("sleeper", {
            let (news, rung, waited) = (news.clone(), rung.clone(), waited.clone());
            move || {
                let (wait, ring) = make();
                let _ = give_thread.send(model::thread::current());
                let _ = give.send(ring);
                for n in 1..=waits {
                    wait();
                    let rings = rung.load(Ordering::SeqCst);
                    // The order goes wrong, and the check goes on.
                    let wrong = |why: String| resume_unwind(Box::new(why) as Box<dyn Any + Send>);
                    if rings < n {
                        wrong(format!("wait {n} is over, after {rings} rings"));
                    }
                    if !news[n as usize - 1].is_known() {
                        wrong(format!("wait {n} is over, and {UNSEEN} what was done before the ring"));
                    }
                    waited.store(n, Ordering::SeqCst);
                }
            }
        });
        let ringer = actor("ringer", move || {
            let Ok(ring) = take.recv() else { return };
            for n in 0..waits {
                // One ring for each wait, and none before the last wait is over.
                let waited = waited.clone();
                wait_until("about to ring", move || waited.load(Ordering::SeqCst) == n);
                news[n as usize].done();
                rung.store(n + 1, Ordering::SeqCst);
                ring();
            }
        });
        let passer_by = actor("passer-by", move || {
            let Ok(sleeper) = take_thread.recv() else { return };
            if stray == Stray::Unpark { sleeper.unpark() } else { end_sleeps_early() }
        });
        let mut actors = vec![sleeper, ringer];
        actors.extend((stray != Stray::Nothing).then_some(passer_by));
        actors
    })
}
