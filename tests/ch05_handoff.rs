//! Layer 5, invariant by invariant.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};

use support::{Bell, Drops, allocations, within};
use under_await::ch03_waker::waker_fn;
use under_await::ch04_park::block_on;
use under_await::ch05_handoff::{Receiver, RecvError, Sender, WakerCell};
use under_await::ch05_handoff::{oneshot, thread_sleep, wake_all};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(10);

/// Invariant 1. The two sides meet at every moment of a poll; one lost wake would stop it all.
#[test]
fn of_a_hundred_thousand_hand_offs_none_is_lost() {
    let rounds: usize = if cfg!(miri) { 50 } else { 100_000 };
    within(6 * LIMIT, move || {
        let (give, take) = mpsc::channel::<(usize, Sender<usize>)>();
        let other = thread::spawn(move || {
            for (round, sender) in take {
                // Now at once, now a little later.
                (0..round % 64 * 8).for_each(|_| std::hint::spin_loop());
                if round % 3 > 0 {
                    assert_eq!(sender.send(round), Ok(()));
                }
            }
        });
        for round in 0..rounds {
            let (sender, receiver) = oneshot();
            give.send((round, sender)).unwrap();
            let expected = if round % 3 > 0 { Ok(round) } else { Err(RecvError) };
            assert_eq!(block_on(receiver), expected);
        }
        drop(give);
        other.join().unwrap();
    });
}

/// Invariant 4. The sender of a task that panics is dropped while the panic goes on. If the receiver's
/// waker panicked out of that, the process would end.
#[test]
#[cfg_attr(miri, ignore = "what a panic carries is leaked on purpose")]
fn a_waker_that_panics_does_not_end_a_process_that_panics() {
    let waker = waker_fn(|| panic!("in the waker"));
    let (sender, mut receiver) = oneshot::<u32>();
    assert!(Pin::new(&mut receiver).poll(&mut Context::from_waker(&waker)).is_pending());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _sender = sender;
        panic!("in the task")
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"in the task"));
    assert_eq!(block_on(receiver), Err(RecvError));
}

/// Invariant 3. To show a value would run its code under the lock; so neither side shows it.
#[test]
fn neither_side_shows_the_value() {
    struct Unshown;
    let (sender, receiver) = oneshot::<Unshown>();
    assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
}

/// Invariant 1. A cell beside a number: who leaves the waker first and looks second misses nothing.
#[test]
fn a_cell_beside_a_number_loses_no_wake() {
    let rounds = if cfg!(miri) { 50 } else { 100_000 };
    within(6 * LIMIT, move || {
        let shared = Arc::new((AtomicUsize::new(0), WakerCell::new(), AtomicUsize::new(0)));
        let other = thread::spawn({
            let shared = shared.clone();
            move || {
                let (sent, cell, seen) = &*shared;
                for round in 1..=rounds {
                    sent.store(round, Ordering::Release);
                    cell.wake();
                    while seen.load(Ordering::Acquire) < round {
                        thread::yield_now();
                    }
                }
            }
        });
        let (sent, cell, seen) = &*shared;
        block_on(std::future::poll_fn(|cx| {
            cell.register(cx.waker());
            let round = sent.load(Ordering::Acquire);
            seen.store(round, Ordering::Release);
            if round == rounds { Poll::Ready(()) } else { Poll::Pending }
        }));
        other.join().unwrap();
    });
}

/// Invariant 2. From task to task, on thread after thread: the one that has it now is woken.
#[test]
fn a_receiver_may_move_as_often_as_it_likes() {
    within(LIMIT, || {
        let (sender, mut receiver) = oneshot();
        let mut bells = Vec::new();
        for _ in 0..10 {
            let (bell, waker) = Bell::new();
            receiver = thread::spawn(move || {
                assert_eq!(poll(&mut receiver, &waker), Poll::Pending);
                receiver
            })
            .join()
            .unwrap();
            bells.push(bell);
        }
        let last = thread::spawn(move || block_on(receiver));
        while Arc::strong_count(&bells[9]) > 1 {
            // Its waker is the newest, until the last thread polls.
            thread::yield_now();
        }
        sender.send("here").unwrap();
        assert_eq!(last.join().unwrap(), Ok("here"));
        assert!(bells.iter().all(|bell| bell.rung() == 0 && Arc::strong_count(bell) == 1));
    });
}

/// Invariant 2. Three receivers under wakers of their own: each arrival polls that one only.
#[test]
fn three_in_futures_unordered_arrive_as_they_are_sent() {
    within(LIMIT, || {
        let (mut senders, receivers): (Vec<_>, FuturesUnordered<_>) =
            (0..3).map(|_| oneshot()).unzip();
        thread::spawn(move || {
            for n in [1, 2, 0] {
                let (empty, _) = oneshot();
                let sender = std::mem::replace(&mut senders[n], empty);
                thread::sleep(Duration::from_millis(10));
                sender.send(n).unwrap();
            }
        });
        let arrived = block_on(receivers.map(Result::unwrap).collect::<Vec<_>>());
        assert_eq!(arrived, [1, 2, 0]);
    });
}

/// Invariant 3. A waker that polls inside `wake`, on the same thread, while `send` is under way.
#[test]
fn who_is_woken_may_poll_at_once() {
    for send in [true, false] {
        let answer = within(LIMIT, move || {
            let (sender, receiver) = oneshot();
            let slot = Arc::new(Mutex::new((receiver, None)));
            let waker = waker_fn({
                let slot = slot.clone();
                move || {
                    let (receiver, answer) = &mut *slot.lock().unwrap();
                    *answer = Some(poll(receiver, Waker::noop()));
                }
            });
            assert_eq!(poll(&mut slot.lock().unwrap().0, &waker), Poll::Pending);
            if send {
                sender.send(7).unwrap()
            } else {
                drop(sender)
            }
            slot.lock().unwrap().1
        });
        let expected = if send { Ok(7) } else { Err(RecvError) };
        assert_eq!(answer, Some(Poll::Ready(expected)));
    }
}

/// A task that owns a sender, and is owned by its wakers only.
struct Task {
    _sender: Mutex<Sender<u32>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// Invariant 3. The waker that is replaced owns the task, the task owns the sender: with it goes the
/// sender, and the newest waker hears of it.
#[test]
fn the_older_waker_may_own_the_sender() {
    within(LIMIT, || {
        let (sender, mut receiver) = oneshot();
        let task = Waker::from(Arc::new(Task { _sender: Mutex::new(sender) }));
        assert_eq!(poll(&mut receiver, &task), Poll::Pending);
        drop(task);
        let (bell, waker) = Bell::new();
        assert_eq!(poll(&mut receiver, &waker), Poll::Pending);
        assert_eq!(bell.rung(), 1);
        assert_eq!(poll(&mut receiver, &waker), Poll::Ready(Err(RecvError)));
    });
}

/// Invariant 3. The same when the receiver is dropped, with the waker it has left.
#[test]
fn the_last_waker_may_own_the_sender() {
    within(LIMIT, || {
        let (sender, mut receiver) = oneshot();
        let task = Arc::new(Task { _sender: Mutex::new(sender) });
        assert_eq!(poll(&mut receiver, &task.clone().into()), Poll::Pending);
        drop(task);
        drop(receiver);
    });
}

/// Invariant 3. The same in a cell, whose waker goes when another one is registered.
#[test]
fn a_waker_that_leaves_a_cell_may_use_it() {
    within(LIMIT, || {
        struct Registers(Arc<WakerCell>, Waker);
        impl Wake for Registers {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for Registers {
            fn drop(&mut self) {
                self.0.register(&self.1);
            }
        }
        let cell = Arc::new(WakerCell::new());
        let (bell, waker) = Bell::new();
        cell.register(&Arc::new(Registers(cell.clone(), waker)).into());
        cell.register(Waker::noop());
        cell.wake();
        assert_eq!(bell.rung(), 1, "it was registered after the other one");
    });
}

/// Invariant 3. Who is woken by a cell may leave a waker at once: it is for the wake after this one.
#[test]
fn who_is_woken_by_a_cell_may_register_at_once() {
    within(LIMIT, || {
        let cell = Arc::new(WakerCell::new());
        let (bell, waker) = Bell::new();
        let registers = cell.clone();
        cell.register(&waker_fn(move || registers.register(&waker)));
        cell.wake();
        assert_eq!(bell.rung(), 0);
        cell.wake();
        cell.wake();
        assert_eq!(bell.rung(), 1);
    });
}

/// Invariant 3. A value may use the channel it was sent through when it is dropped.
#[test]
fn a_value_may_own_the_other_end_of_another_channel() {
    within(LIMIT, || {
        let (back, mut answer) = oneshot::<u32>();
        let (sender, receiver) = oneshot();
        sender.send(back).unwrap();
        drop(receiver);
        assert_eq!(poll(&mut answer, Waker::noop()), Poll::Ready(Err(RecvError)));
    });
}

/// Invariant 4. Either side, dropped in every state there is: the value is dropped once, the waker is
/// given up, and the other side knows.
#[test]
fn a_side_may_go_in_every_state() {
    for polled in [false, true] {
        let (bell, waker) = Bell::new();
        let left = || {
            let (sender, mut receiver) = oneshot();
            if polled {
                assert_eq!(poll(&mut receiver, &waker).map_ok(drop), Poll::Pending);
            }
            (sender, receiver)
        };
        let drops = Drops::default();

        // Nothing was sent, and the receiver goes first.
        let (sender, receiver) = left();
        assert!(!sender.is_closed());
        drop(receiver);
        assert!(sender.is_closed());
        drop(sender.send(drops.token()).unwrap_err());
        assert_eq!((drops.count(), bell.rung()), (1, 0));

        // Nothing was sent, and the sender goes first.
        let (sender, receiver) = left();
        drop(sender);
        assert_eq!(bell.rung(), u32::from(polled));
        drop(receiver);

        // The value is on its way when the receiver goes.
        let (sender, receiver) = left();
        sender.send(drops.token()).unwrap();
        assert_eq!((drops.count(), bell.rung()), (1, u32::from(polled)));
        drop(receiver);
        assert_eq!(drops.count(), 2);

        // The receiver has its answer when it goes.
        let (sender, mut receiver) = left();
        sender.send(drops.token()).unwrap();
        let value = poll(&mut receiver, &waker);
        drop(receiver);
        assert_eq!(drops.count(), 2);
        drop(value);
        assert_eq!((drops.count(), bell.rung()), (3, u32::from(polled)));
        assert_eq!(Arc::strong_count(&bell), 2, "`bell` and `waker` are left");
    }
}

/// Invariant 4. A thread that panics takes its sender along, and the receiver is told.
#[test]
fn a_panic_on_the_other_side_ends_the_wait() {
    let output = within(LIMIT, || {
        let (sender, receiver) = oneshot::<u32>();
        thread::spawn(move || {
            let _sender = sender;
            thread::sleep(Duration::from_millis(10));
            panic!("expected by the test");
        });
        block_on(receiver)
    });
    assert_eq!(output, Err(RecvError));
}

/// After the answer another poll panics. `send` may be under way still: the sender that drops after
/// that must not find a poisoned lock.
#[test]
fn a_poll_after_the_answer_panics_and_poisons_nothing() {
    within(LIMIT, || {
        let (sender, receiver) = oneshot();
        let slot = Arc::new(Mutex::new(receiver));
        let waker = waker_fn({
            let slot = slot.clone();
            move || {
                let mut receiver = slot.lock().unwrap();
                assert_eq!(poll(&mut receiver, Waker::noop()), Poll::Ready(Ok(1)));
                let again = AssertUnwindSafe(|| poll(&mut receiver, Waker::noop()));
                assert!(catch_unwind(again).is_err());
            }
        });
        assert_eq!(poll(&mut slot.lock().unwrap(), &waker), Poll::Pending);
        sender.send(1).unwrap();
    });
}

/// A channel is one allocation; waiting, sending and receiving are none.
#[test]
fn a_channel_is_one_allocation() {
    let (_bell, waker) = Bell::new();
    let count = allocations(|| {
        let (sender, mut receiver) = oneshot();
        assert_eq!(poll(&mut receiver, &waker), Poll::Pending);
        assert_eq!(poll(&mut receiver, &waker), Poll::Pending);
        sender.send(1).unwrap();
        assert_eq!(poll(&mut receiver, &waker), Poll::Ready(Ok(1)));
    });
    // Apple's locks may not move, so std's mutex there keeps one in a box.
    let most = if cfg!(target_vendor = "apple") { 2 } else { 1 };
    assert!((1..=most).contains(&count), "{count} allocations");
}

/// A cell allocates nothing, and can be a `static`.
#[test]
fn a_cell_needs_no_allocation() {
    static CELL: WakerCell = WakerCell::new();
    let (bell, waker) = Bell::new();
    CELL.register(&waker);
    CELL.wake();
    let count = allocations(|| {
        CELL.register(&waker);
        CELL.wake();
    });
    assert_eq!((count, bell.rung()), (0, 2));
}

/// The time of a sleep begins with its first poll, and so does its thread.
#[test]
fn a_sleep_is_counted_from_the_first_poll() {
    within(LIMIT, || {
        let sleep = thread_sleep(Duration::from_millis(40));
        thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        block_on(sleep);
        assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());
    });
}

/// Who drops a sleep is not woken by it.
#[test]
fn a_sleep_may_be_dropped() {
    let (bell, waker) = Bell::new();
    {
        let mut sleep = pin!(thread_sleep(Duration::from_millis(10)));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    thread::sleep(Duration::from_millis(30));
    assert_eq!((bell.rung(), Arc::strong_count(&bell)), (0, 2));
}

/// All are woken, in order, whichever of them panics; and so they are when the panic carries something
/// that panics as it is dropped.
#[test]
#[cfg_attr(miri, ignore = "what a panic carries is leaked on purpose")]
fn a_panic_in_a_waker_keeps_no_other_from_being_woken() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a panic's payload");
        }
    }
    let woken = Arc::new(Mutex::new(Vec::new()));
    let wakers = (0..5).map(|n| {
        let woken = woken.clone();
        waker_fn(move || {
            woken.lock().unwrap().push(n);
            match n {
                0 | 4 => panic!("in a waker"),
                2 => std::panic::panic_any(Bomb),
                _ => {}
            }
        })
    });
    wake_all(wakers);
    assert_eq!(*woken.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(Arc::strong_count(&woken), 1, "no waker is left behind");
}

/// The two sides may go to other threads, whatever lies behind the value's `Sync`; and need no pin.
#[test]
fn the_sides_are_send_and_unpin() {
    fn check<T: Send + Sync + Unpin>() {}
    check::<Sender<std::cell::Cell<u32>>>();
    check::<Receiver<std::cell::Cell<std::marker::PhantomPinned>>>();
    check::<WakerCell>();
    let error: Box<dyn Error + Send + Sync> = RecvError.into();
    assert_eq!(error.to_string(), "the sender went away without sending");
}

/// Polls once.
fn poll<T>(receiver: &mut Receiver<T>, waker: &Waker) -> Poll<Result<T, RecvError>> {
    Pin::new(receiver).poll(&mut Context::from_waker(waker))
}
