// The checks of chapter 4. `subject` is the code under examination.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use crate::support::schedules::{actor, every_order};
use crate::support::{Event, allocations, checks, ensure, later, ledger, self_wakes};

use subject::extend::{Bell, CondvarParker, block_on_for};
use subject::{Parker, block_on};

checks! {
    /// A future that is ready at once needs no wake.
    "4.1" fn ready_at_once() {
        let output = block_on(async { 6 * 7 });
        ensure!(output == 42, "wrong-result", "`block_on(async {{ 6 * 7 }})` gave {output}.");
    }

    /// A wake from another thread ends the sleep, and the future is polled again.
    "4.2" fn woken_by_another_thread() {
        block_on(later(30));
    }

    /// While the future waits, the thread sleeps: every poll but the first uses up a wake.
    "4.2" fn sleeps_instead_of_spinning() {
        block_on(later(60));
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 3, "busy-poll", "A wait of 60 ms took {polls} polls; 2 are enough.");
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
            thread::park_timeout(Duration::from_millis(10));
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

    /// From the second call on a thread on, a future that is ready costs no allocation.
    "4.3" fn no_allocation() {
        block_on(async {});
        let count = allocations(|| block_on(async {}));
        ensure!(count == 0, "allocates", "The second `block_on` allocated {count} times.");
    }

    /// The condition variable's parker is woken by another thread.
    "4.4" fn condvar_woken_by_another_thread() {
        let (parker, ledger) = (CondvarParker::default(), ledger());
        let waker = parker.waker();
        ledger.record("sleeper", Event::Pending);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            ledger.record("helper", Event::Wake);
            waker.wake();
        });
        parker.park();
    }

    /// The condition variable's parker forgets no wake, and remembers none twice.
    "4.5" fn condvar_remembers_one_wake() {
        let (parker, ledger) = (CondvarParker::default(), ledger());
        ledger.record("sleeper", Event::Wake);
        parker.waker().wake();
        parker.park();
        let waker = parker.waker();
        let helper = thread::spawn({
            let ledger = ledger.clone();
            move || {
                thread::sleep(Duration::from_millis(30));
                ledger.record("helper", Event::Wake);
                waker.wake();
            }
        });
        parker.park();
        ensure!(ledger.count(Event::Wake) == 2, "busy-poll", "One wake ended two sleeps.");
        helper.join().unwrap();
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
        let output = block_on_for(later(10_000), Duration::from_millis(50));
        ensure!(output.is_none(), "wrong-result", "It gave {output:?}.");
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 2, "busy-poll", "Giving up after 50 ms took {polls} polls; 1 is enough.");
    }

    /// No order of the steps of `wait` and `ring` hangs.
    "4.7" fn no_order_hangs() {
        let orders = every_order(|| {
            let (give, take) = std::sync::mpsc::channel::<Arc<Bell>>();
            let sleeper = actor("sleeper", move || {
                let bell = Arc::new(Bell::new());
                let _ = give.send(bell.clone());
                bell.wait();
            });
            let ringer = actor("ringer", move || {
                if let Ok(bell) = take.recv() {
                    bell.ring();
                }
            });
            vec![sleeper, ringer]
        });
        if let Some(order) = orders.bad.first() {
            let (bad, total) = (orders.bad.len(), orders.total);
            crate::support::fail!("lost-wake", "Of {total} orders {bad} hang. One of them:\n\n{order}");
        }
    }
}
