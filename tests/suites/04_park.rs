// The checks of chapter 4. `subject` is the code under examination.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use under_await::sys;

use crate::support::schedules::{Orders, actor, every_order, model, point, wait_until};
use crate::support::{Event, allocations, ball_game, checks, ensure, fail, later, ledger, self_wakes};

use subject::extend::{Bell, CondvarParker, block_on_for};
use subject::{Parker, block_on};

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
    "4.2" fn woken_by_another_thread() {
        block_on(later(30));
    }

    /// Every poll but the first uses up a wake: the first wait leaves nothing for the second.
    "4.2" fn every_poll_uses_up_a_wake() {
        block_on(async {
            later(50).await;
            later(50).await;
        });
        let polls = ledger().count(Event::Poll);
        ensure!(
            polls <= 5,
            "busy-poll",
            "Two waits of 50 ms each took {polls} polls; 4 are enough."
        );
    }

    /// What else may end a `thread::park` ends no sleep.
    "4.2" fn an_unpark_is_no_wake() {
        block_on(async {
            ledger().record("somebody", Event::Note("unparks the thread, and wakes nobody"));
            thread::current().unpark();
            later(30).await;
        });
        let polls = ledger().count(Event::Poll);
        ensure!(polls == 2, "busy-poll", "A wait with one wake took {polls} polls; it needs 2.");
    }

    /// While the future waits, the thread sleeps: it does not ask the flag over and over.
    "4.2" fn sleeps_instead_of_spinning() {
        sleeps(40, || {
            block_on(later(40));
        });
    }

    /// A wake that comes before the sleep is not lost.
    "4.3" fn a_wake_before_the_sleep() {
        block_on(self_wakes(3));
    }

    /// Code inside the future may park too: that takes no wake away.
    "4.3" fn the_future_parks_as_well() {
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
    "4.3" fn nested() {
        let output = block_on(async {
            let inner = block_on(later(10));
            self_wakes(1).await;
            (inner, later(10).await)
        });
        ensure!(output == ("done", "done"), "wrong-result", "The two gave {output:?}.");
    }

    /// A waker that is woken after its `block_on` has ended does no harm.
    "4.3" fn woken_after_the_end() {
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

    /// Of many wakes none is lost, whether it comes during a poll, during a sleep or between them.
    "4.3" fn twenty_thousand_wakes() {
        let wakes = 20_000;
        if let Err(lost) = ball_game(wakes, Duration::from_millis(700), block_on) {
            fail!(
                "lost-wake",
                "Two threads woke each other in turn. Of {wakes} wakes, no. {lost} was lost: nobody \
                 polled after it."
            );
        }
    }

    /// The condition variable's parker is woken by another thread.
    "4.4" fn condvar_woken_by_another_thread() {
        let parker = CondvarParker::default();
        wake_later(20, &parker);
        executor_parks(&parker);
    }

    /// While nobody wakes, the condition variable's parker sleeps.
    "4.4" fn condvar_sleeps_instead_of_spinning() {
        sleeps(40, || {
            let parker = CondvarParker::default();
            wake_later(40, &parker);
            executor_parks(&parker);
        });
    }

    /// The condition variable's parker forgets no wake.
    "4.5" fn condvar_woken_before_the_sleep() {
        let parker = CondvarParker::default();
        ledger().record("executor", Event::Poll);
        ledger().record("helper", Event::Wake);
        parker.waker().wake();
        parker.park();
    }

    /// The condition variable's parker remembers no wake twice.
    "4.5" fn condvar_uses_up_a_wake() {
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

    /// When the time is over, `block_on_for` gives up, and has slept until then.
    "4.6" fn too_late() {
        let output = block_on_for(later(500), Duration::from_millis(40));
        ensure!(
            output.is_none(),
            "wrong-result",
            "A future that is ready after 500 ms gave {output:?}; the limit was 40 ms."
        );
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 2, "busy-poll", "Giving up after 40 ms took {polls} polls; 1 is enough.");
    }

    /// A future that is woken again and again must end in time as well.
    "4.6" fn too_late_though_always_awake() {
        let start = Instant::now();
        let output = block_on_for(
            poll_fn(|cx| {
                if start.elapsed() > Duration::from_millis(400) {
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
            "A future that wakes itself at every poll ran for 400 ms; the limit was 20 ms."
        );
    }

    /// No order of the steps of `wait` and `ring` hangs.
    "4.7" fn no_order_hangs() {
        let orders = play_bell(1, false);
        if let Some(order) = orders.bad.first() {
            let (bad, all) = (orders.bad.len(), orders.total);
            fail!("lost-wake", "Of {all} orders {bad} hang. One of them:\n\n{order}");
        }
    }

    /// In no order does `wait` return without a ring of its own, whoever else unparks the thread.
    "4.7" fn no_order_returns_without_a_ring() {
        for orders in [play_bell(1, true), play_bell(2, false)] {
            if let Some(order) = orders.bad.first() {
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

/// Fails if the quietest of three waits keeps the processor busy. Each takes `ms` milliseconds.
fn sleeps(ms: u64, wait: impl Fn()) {
    let busy = || {
        let before = sys::cpu_time()?;
        wait();
        Some(sys::cpu_time()? - before)
    };
    let busy = (0..3).filter_map(|_| busy()).min().unwrap_or_default().as_millis() as u64;
    ensure!(
        busy <= ms / 4,
        "busy-poll",
        "A wait of {ms} ms kept the processor busy for {busy} ms; who sleeps needs next to nothing."
    );
}

/// Plays some waits, and a ring for each, in every order; perhaps also an `unpark` that has nothing
/// to do with the bell.
fn play_bell(waits: u32, stray: bool) -> Orders {
    every_order(move || {
        // Sent before the first step of the play, so that waiting for it is no step.
        let (give, take) = mpsc::channel::<Arc<Bell>>();
        let (give_thread, take_thread) = mpsc::channel::<model::thread::Thread>();
        let rung = Arc::new(AtomicU32::new(0));
        let waited = Arc::new(AtomicU32::new(0));
        let sleeper = actor("sleeper", {
            let (rung, waited) = (rung.clone(), waited.clone());
            move || {
                let bell = Arc::new(Bell::new());
                let _ = give_thread.send(model::thread::current());
                let _ = give.send(bell.clone());
                for n in 1..=waits {
                    bell.wait();
                    let rings = rung.load(Ordering::SeqCst);
                    if rings < n {
                        // The order goes wrong, and the check goes on.
                        resume_unwind(Box::new(format!("wait {n} is over, after {rings} rings")));
                    }
                    waited.store(n, Ordering::SeqCst);
                }
            }
        });
        let ringer = actor("ringer", move || {
            let Ok(bell) = take.recv() else { return };
            for n in 0..waits {
                // One ring for each wait, and none before the last wait is over.
                let waited = waited.clone();
                wait_until("about to ring", move || waited.load(Ordering::SeqCst) == n);
                rung.store(n + 1, Ordering::SeqCst);
                bell.ring();
            }
        });
        let passer_by = actor("passer-by", move || {
            let Ok(sleeper) = take_thread.recv() else { return };
            sleeper.unpark();
        });
        let mut actors = vec![sleeper, ringer];
        actors.extend(stray.then_some(passer_by));
        actors
    })
}
