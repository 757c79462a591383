//! Layer 11, invariant by invariant, on both backends of the reactor. That a runtime does what every
//! runtime does is in `tests/conformance.rs`.

#![cfg(all(unix, not(miri)))] // poll(2) and select(2).
#![allow(clippy::async_yields_async)] // Handles that outlive their runtime are part of the story.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{self, pending, poll_fn, ready};
use std::io::{PipeReader, Read, Write};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures::future::{FutureExt, join, join_all};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use support::reactors::by;
use support::{
    Bell, Drops, Event, Ledger, allocated_bytes, allocations, in_a_process, ledger, on_both, within,
};
use under_await::ch01_future::poll_once;
use under_await::ch08_poll::{Direction, ask_by, ready_to};
use under_await::ch11_task::{JoinError, JoinHandle, block_on, spawn};
use under_await::net::{TcpListener, TcpStream};
use under_await::sys::{self, Faults};
use under_await::time::{interval, sleep, timeout};
use under_await::{budget, ch04_park, ch09_timer, waker_fn, yield_now};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(20);

// ── Invariant 1: once ──

/// However often it is woken before its turn, it is one poll; and the queue does not grow.
#[test]
fn a_hundred_thousand_wakes_queue_a_task_once() {
    on_both(LIMIT, |_| {
        block_on(async {
            let (polls, waker) = counted(u32::MAX);
            yield_now().await;
            assert_eq!(polls.get(), 1);
            let waker = waker.take().unwrap();
            let before = allocated_bytes();
            (0..100_000).for_each(|_| waker.wake_by_ref());
            assert!(allocated_bytes() - before < 1000, "the queue has grown");
            yield_now().await;
            yield_now().await;
            assert_eq!(polls.get(), 2);

            // The same from another thread, while this one does not look.
            let waker = thread::spawn(move || {
                (0..100_000).for_each(|_| waker.wake_by_ref());
                waker
            });
            let waker = waker.join().unwrap();
            pass().await;
            assert_eq!(polls.get(), 3);

            // And from both.
            waker.wake_by_ref();
            let there = waker.clone();
            thread::spawn(move || there.wake()).join().unwrap();
            waker.wake();
            pass().await;
            assert_eq!(polls.get(), 4);
        });
    });
}

/// Woken in its poll, and again before its turn: that is one place in the queue, and one poll.
#[test]
fn a_task_that_was_woken_in_its_poll_is_queued_once() {
    on_both(LIMIT, |_| {
        block_on(async {
            let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
            let (count, keep) = (polls.clone(), waker.clone());
            spawn(poll_fn(move |cx| {
                count.set(count.get() + 1);
                keep.set(Some(cx.waker().clone()));
                if count.get() == 1 {
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            }));
            yield_now().await;
            let waker = waker.take().unwrap();
            waker.wake_by_ref();
            let there = waker.clone();
            thread::spawn(move || there.wake()).join().unwrap();
            pass().await;
            assert_eq!(polls.get(), 2);
        });
    });
}

/// Woken twice in its last poll, and later: that was the last poll.
#[test]
fn a_task_that_is_over_is_not_polled_again() {
    on_both(LIMIT, |_| {
        block_on(async {
            let (polls, waker) = counted(2);
            yield_now().await;
            let waker = waker.take().unwrap();
            for _ in 0..3 {
                waker.wake_by_ref();
                waker.wake_by_ref();
                let there = waker.clone();
                thread::spawn(move || there.wake()).join().unwrap();
                pass().await;
            }
            assert_eq!(polls.get(), 2);

            // Whoever stands in its place now does not hear of it either.
            let (others, _) = counted(u32::MAX);
            pass().await;
            waker.wake();
            pass().await;
            assert_eq!((polls.get(), others.get()), (2, 1));
        });
    });
}

/// Without a wake there is no poll: of the root neither.
#[test]
fn nobody_is_polled_without_a_wake() {
    on_both(LIMIT, |_| {
        let mut roots = 0;
        let mut delay = pin!(sleep(ms(30)));
        let tasks = Rc::new(Cell::new(0));
        block_on(poll_fn(|cx| {
            roots += 1;
            if roots == 1 {
                for _ in 0..10 {
                    let tasks = tasks.clone();
                    spawn(poll_fn(move |_| {
                        tasks.set(tasks.get() + 1);
                        Poll::<()>::Pending
                    }));
                }
            }
            delay.as_mut().poll(cx)
        }));
        assert_eq!((roots, tasks.get()), (2, 10));
    });
}

// ── Invariant 2: no lost wake ──

/// Eight threads wake one task; it is over when it has seen what all of them have done.
#[test]
fn eight_threads_wake_a_task_and_no_wake_is_lost() {
    on_both(LIMIT, |_| {
        block_on(async {
            let task = spawn(eight_threads());
            let (polls, wakes) = task.await.unwrap();
            assert!(polls <= wakes + 1, "{polls} polls, {wakes} wakes");
        });
    });
}

/// The same for the root, beside a task that keeps the thread busy, and beside none.
#[test]
fn eight_threads_wake_the_root_and_no_wake_is_lost() {
    on_both(LIMIT * 2, |_| {
        for busy in [|| {}, || drop(spawn(for_ever()))] {
            let (polls, wakes) = block_on(async {
                busy();
                eight_threads().await
            });
            assert!(polls <= wakes + 1, "{polls} polls, {wakes} wakes");
        }
    });
}

/// Each of a thousand tasks waits for another thread, in turn.
#[test]
fn a_thread_and_a_thousand_tasks_play_ping_pong() {
    on_both(LIMIT, |_| {
        let (ping, pings) = mpsc::channel::<(Waker, Arc<AtomicBool>)>();
        let player = thread::spawn(move || {
            for (waker, done) in pings {
                done.store(true, Ordering::Relaxed);
                waker.wake();
            }
        });
        block_on(async {
            let tasks = (0..1000).map(|_| {
                let ping = ping.clone();
                spawn(async move {
                    for _ in 0..100 {
                        let done = Arc::new(AtomicBool::new(false));
                        poll_fn(|cx| {
                            if done.load(Ordering::Relaxed) {
                                return Poll::Ready(());
                            }
                            ping.send((cx.waker().clone(), done.clone())).unwrap();
                            Poll::Pending
                        })
                        .await;
                    }
                })
            });
            for result in join_all(tasks).await {
                result.unwrap();
            }
        });
        drop(ping);
        player.join().unwrap();
    });
}

/// A wake that comes in a poll, from the same thread and from another one.
#[test]
fn a_wake_during_the_poll_is_another_poll() {
    on_both(LIMIT, |_| {
        block_on(async {
            for elsewhere in [false, true] {
                let mut polls = 0;
                let task = spawn(poll_fn(move |cx| {
                    polls += 1;
                    let waker = cx.waker().clone();
                    match elsewhere {
                        true => thread::spawn(move || waker.wake()).join().unwrap(),
                        false => waker.wake(),
                    }
                    if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
                }));
                task.await.unwrap();
            }
        });
    });
}

/// A thread wakes a task while this one is awake, so it rings nobody. From then on the queue is empty;
/// and yet there is nothing to sleep for.
#[test]
fn a_wake_from_elsewhere_before_the_sleep_is_seen() {
    on_both(LIMIT, |_| {
        block_on(async {
            let (done, waker) = (Arc::new(AtomicBool::new(false)), Rc::new(Cell::new(None)));
            let (seen, keep) = (done.clone(), waker.clone());
            let task = spawn(poll_fn(move |cx| {
                keep.set(Some(cx.waker().clone()));
                if seen.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
            }));
            yield_now().await;
            let waker = waker.take().unwrap();
            let there = thread::spawn(move || {
                done.store(true, Ordering::Relaxed);
                waker.wake();
            });
            there.join().unwrap();
            task.await.unwrap();
        });
    });
}

/// Only who sleeps is rung: a wake of a runtime that is busy makes no system call.
#[test]
fn a_wake_from_elsewhere_rings_only_a_sleeper() {
    within(LIMIT, || {
        let ledger = ledger();
        block_on(async {
            let (_, waker) = counted(u32::MAX);
            yield_now().await;
            let waker = waker.take().unwrap();
            let waker = thread::spawn(move || {
                ledger.attach();
                (0..1000).for_each(|_| waker.wake_by_ref());
                waker
            });
            let waker = waker.join().unwrap();
            pass().await;
            assert_eq!(Ledger::current().unwrap().count(Event::Call("write")), 0);

            // Now it sleeps.
            let ledger = Ledger::current().unwrap();
            thread::spawn(move || {
                ledger.attach();
                thread::sleep(ms(30));
                waker.wake();
            });
            sleep(ms(60)).await;
            assert_eq!(Ledger::current().unwrap().count(Event::Call("write")), 1);
        });
    });
}

/// What outlives its `block_on` may be woken at any time, and the next one hears nothing of it.
#[test]
fn a_wake_after_the_end_of_the_runtime_does_nothing() {
    on_both(LIMIT, |_| {
        let wakers = Rc::new(RefCell::new(Vec::new()));
        let keep = wakers.clone();
        block_on(async move {
            for after in [1, u32::MAX] {
                let (_, waker) = counted(after);
                yield_now().await;
                keep.borrow_mut().extend(waker.take());
            }
            let waker = own_waker().await;
            keep.borrow_mut().push(waker);
        });
        let wakers = wakers.take();
        assert_eq!(wakers.len(), 3);
        wakers.iter().for_each(Waker::wake_by_ref);

        let mut roots = 0;
        let mut delay = pin!(sleep(ms(30)));
        block_on(poll_fn(|cx| {
            roots += 1;
            if roots == 1 {
                wakers.iter().for_each(Waker::wake_by_ref);
                let there = wakers.clone();
                thread::spawn(move || there.into_iter().for_each(Waker::wake)).join().unwrap();
            }
            delay.as_mut().poll(cx)
        }));
        assert!(roots <= 2, "{roots} polls");
        wakers.into_iter().for_each(Waker::wake);
    });
}

// ── Invariant 3: in turn ──

/// Spawned in order, woken in order: polled in that order.
#[test]
fn tasks_are_polled_in_the_order_of_their_wakes() {
    on_both(LIMIT, |_| {
        block_on(async {
            let order = Rc::new(RefCell::new(Vec::new()));
            let wakers = Rc::new(RefCell::new(Vec::new()));
            for i in 0..5 {
                let (order, wakers) = (order.clone(), wakers.clone());
                spawn(poll_fn(move |cx| {
                    order.borrow_mut().push(i);
                    wakers.borrow_mut().push(cx.waker().clone());
                    Poll::<()>::Pending
                }));
            }
            yield_now().await;
            assert_eq!(order.take(), [0, 1, 2, 3, 4]);
            let wakers = wakers.take();
            for i in [3, 0, 3, 4, 0, 1] {
                wakers[i].wake_by_ref();
            }
            yield_now().await;
            assert_eq!(order.take(), [3, 0, 4, 1]);
        });
    });
}

/// The root takes its turn like everybody else: one that wakes itself starves no task, and tasks
/// that wake themselves do not starve it.
#[test]
fn the_root_takes_its_turn() {
    on_both(LIMIT, |_| {
        let polls = Rc::new(Cell::new([0; 3]));
        let count = |i: usize| {
            let polls = polls.clone();
            move || {
                let mut all = polls.get();
                all[i] += 1;
                polls.set(all);
            }
        };
        let (root, one, two) = (count(0), count(1), count(2));
        block_on(async move {
            let tasks: [Box<dyn Fn()>; 2] = [Box::new(one), Box::new(two)];
            for task in tasks {
                spawn(async move {
                    loop {
                        task();
                        yield_now().await;
                    }
                });
            }
            for _ in 0..1000 {
                root();
                yield_now().await;
            }
        });
        assert_eq!(polls.get(), [1000; 3]);
    });
}

/// With a task that is always ready to run, the kernel is asked once for 61 polls.
#[test]
fn the_kernel_is_asked_every_61_polls() {
    on_both(LIMIT, |call| {
        block_on(async {
            for _ in 0..61 * 100 {
                yield_now().await;
            }
        });
        let asked = ledger().count(Event::Call(call));
        assert_eq!(asked, 100);
    });
}

/// A socket that is never empty, and one that is never full: the task beside them has its turn after 128
/// reads or writes, whether it reads the one, writes the other, or waits for both at once.
#[test]
fn a_socket_that_is_always_ready_starves_nobody() {
    on_both(LIMIT, |_| {
        block_on(async {
            let (done, seen) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
            let (count, turns) = (done.clone(), seen.clone());
            let beside = spawn(async move {
                loop {
                    turns.borrow_mut().push(count.take());
                    yield_now().await;
                }
            });
            let (mut here, mut there) = connected().await;
            let bytes = 5 * 128 + 1;
            for _ in 0..bytes {
                here.write_all(b"x").await.unwrap();
                done.set(done.get() + 1);
            }
            for _ in 0..bytes {
                there.read_exact(&mut [0]).await.unwrap();
                done.set(done.get() + 1);
            }
            yield_now().await;
            beside.abort();
            let seen = seen.take();
            assert_eq!(seen.iter().sum::<u32>(), 2 * bytes);
            assert_eq!(seen.iter().max(), Some(&128), "{seen:?}");
        });
    });
}

/// An echo of 50 connections, whose requests are there at once, makes a read and a write for each, and one
/// wait for all of them: what a loop by hand would make.
#[test]
fn an_echo_of_fifty_connections_makes_two_calls_a_request_and_one_wait_for_all() {
    const CONNECTIONS: usize = 50;
    const ROUNDS: usize = 20;
    on_both(LIMIT, |wait| {
        block_on(async {
            let listener = TcpListener::bind(LOCAL).unwrap();
            let address = listener.local_addr().unwrap();
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                // Std's, so that none of its calls are in the ledger.
                clients.push(std::net::TcpStream::connect(address).unwrap());
                let (stream, _) = listener.accept().await.unwrap();
                drop(spawn(echo(stream)));
            }
            yield_now().await;
            yield_now().await;
            let calls = || ["recv", "send", wait].map(|call| ledger().count(Event::Call(call)));
            let before = calls();
            for _ in 0..ROUNDS {
                for client in &mut clients {
                    Write::write_all(client, &[7; 64]).unwrap();
                }
                // One wait for the requests, and one for this.
                sleep(ms(1)).await;
                for client in &mut clients {
                    Read::read_exact(client, &mut [0; 64]).unwrap();
                }
            }
            let [reads, writes, waits] = calls();
            let requests = (CONNECTIONS * ROUNDS) as u64;
            assert_eq!([reads - before[0], writes - before[1]], [requests; 2]);
            let waits = waits - before[2];
            assert!(waits <= 3 * ROUNDS as u64, "{waits} waits in {ROUNDS} rounds");
        });
    });
}

/// What is used up is used up for all that the task polls, and whole again at its next turn: of 300
/// accepted connections in one `join!`, each is read, and a timeout ends what would go on for ever.
#[test]
fn a_budget_is_for_the_poll_of_a_task() {
    on_both(LIMIT, |_| {
        block_on(async {
            let listener = TcpListener::bind(LOCAL).unwrap();
            let address = listener.local_addr().unwrap();
            let mut streams = Vec::new();
            for _ in 0..150 {
                let (stream, accepted) = join(TcpStream::connect(address), listener.accept()).await;
                stream.unwrap().write_all(b"!").await.unwrap();
                streams.push(accepted.unwrap().0);
            }
            let mut polls = 0;
            let mut reads = join_all(streams.iter().map(async |mut stream| {
                stream.read_exact(&mut [0]).await.unwrap();
            }));
            poll_fn(|cx| {
                polls += 1;
                reads.poll_unpin(cx)
            })
            .await;
            assert_eq!(polls, 2);

            let (mut here, there) = connected().await;
            here.write_all(&[0; 10_000]).await.unwrap();
            let endless = async { while (&there).read(&mut []).await.is_ok() {} };
            assert!(timeout(ms(5), endless).await.is_err());
        });
    });
}

/// A clock that is late ticks at once, and a sleep may be over from the beginning: loops of these, too,
/// leave the others their turns, and end by a timeout.
#[test]
fn a_sleep_that_is_over_starves_nobody() {
    on_both(LIMIT, |_| {
        block_on(async {
            let turns = Rc::new(Cell::new(0));
            let turning = turns.clone();
            spawn(async move {
                loop {
                    turning.set(turning.get() + 1);
                    yield_now().await;
                }
            });
            for _ in 0..1000 {
                sleep(Duration::ZERO).await;
            }
            assert!((7..=20).contains(&turns.take()), "1,000 sleeps are eight turns");

            let mut clock = interval(Duration::from_nanos(1));
            for _ in 0..1000 {
                clock.tick().await;
            }
            assert!((7..=20).contains(&turns.take()), "1,000 ticks are eight turns");
            let endless = async {
                loop {
                    clock.tick().await;
                }
            };
            assert!(timeout(ms(5), endless).await.is_err());
        });
    });
}

/// In a `block_on` of a lower layer nobody has set a limit: there is nobody else whose turn it could be.
/// A panic, too, ends the budget of its poll.
#[test]
fn without_tasks_there_is_no_budget() {
    on_both(LIMIT, |_| {
        caught(|| {
            block_on(async {
                budget::spend().await;
                panic!("in the root")
            })
        })
        .unwrap_err();
        for _ in 0..2 {
            let mut spent = pin!(async {
                for _ in 0..1000 {
                    budget::spend().await
                }
            });
            assert!(poll_once(spent.as_mut()).is_ready());
            let left = || {
                budget::Budget::default().grant(10, || {
                    poll_once(pin!(async {
                        for _ in 0..11 {
                            budget::spend().await
                        }
                    }))
                })
            };
            assert!(left().is_pending());
        }
    });
}

/// So descriptors, timers and other threads are heard beside a task that never waits, and soon.
#[test]
fn a_task_that_wakes_itself_starves_neither_descriptors_nor_timers_nor_threads() {
    on_both(LIMIT, |_| {
        block_on(async {
            let turns = Rc::new(Cell::new(0_u32));
            let turning = turns.clone();
            spawn(async move {
                loop {
                    turning.set(turning.get() + 1);
                    yield_now().await;
                }
            });

            let (reader, mut writer) = pipe();
            writer.write_all(b"!").unwrap();
            let before = turns.get();
            let read = spawn(async move { read_one(&reader).await });
            assert_eq!(read.await.unwrap(), b'!');
            let waited = turns.get() - before;
            assert!(waited <= 5 * 61, "{waited} polls of another task before the byte was read");

            sleep(ms(5)).await;
            let (there, waker) = (Arc::new(AtomicBool::new(false)), Cell::new(None));
            let bell = there.clone();
            poll_fn(|cx| {
                if there.load(Ordering::Acquire) {
                    return Poll::Ready(());
                }
                if waker.replace(Some(cx.waker().clone())).is_none() {
                    let (bell, waker) = (bell.clone(), cx.waker().clone());
                    thread::spawn(move || {
                        bell.store(true, Ordering::Release);
                        waker.wake();
                    });
                }
                Poll::Pending
            })
            .await;
        });
    });
}

// ── Invariant 4: here ──

/// What is not `Send` may be spawned, and all that happens to it happens on its thread; also when the
/// last waker goes elsewhere.
#[test]
fn a_future_is_polled_and_dropped_on_its_thread() {
    on_both(LIMIT, |_| {
        let here = thread::current().id();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let watched = || Watched { seen: seen.clone(), _local: Rc::new(()) };
        block_on(async {
            for ends in [true, false] {
                let (watched, kept) = (watched(), kept.clone());
                spawn(async move {
                    let _watched = watched;
                    let waker = own_waker().await;
                    kept.lock().unwrap().push(waker);
                    if !ends {
                        pending::<()>().await;
                    }
                });
            }
            let aborted = spawn(hold(watched()));
            yield_now().await;
            aborted.abort();
            yield_now().await;
        });
        assert_eq!(*seen.lock().unwrap(), [here; 3]);
        let wakers = std::mem::take(&mut *kept.lock().unwrap());
        thread::spawn(move || drop(wakers)).join().unwrap();
        assert_eq!(*seen.lock().unwrap(), [here; 3]);
    });
}

/// Whatever state a task is in when the root is ready: it is dropped, once.
#[test]
fn the_end_of_the_root_drops_every_task() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        let handles = block_on(async {
            let waiting = spawn(hold(drops.token()));
            let turning = spawn(with(drops.token(), for_ever()));
            let sleeping = spawn(with(drops.token(), sleep(Duration::from_secs(1000))));
            let aborted = spawn(hold(drops.token()));
            yield_now().await;
            aborted.abort();
            let never_polled = spawn(hold(drops.token()));
            [waiting, turning, sleeping, aborted, never_polled]
        });
        assert_eq!(drops.count(), 5);
        for handle in handles {
            assert!(handle.is_finished());
            assert!(block_on(handle).unwrap_err().is_cancelled());
        }
        assert_eq!(ch09_timer::pending_timers(), 0);
    });
}

/// Also when the root panics.
#[test]
fn the_panic_of_the_root_drops_every_task() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        let token = drops.token();
        let panicked = caught(|| {
            block_on(async {
                spawn(hold(token));
                yield_now().await;
                panic!("the root")
            })
        });
        assert_eq!(text(panicked.unwrap_err()), "the root");
        assert_eq!(drops.count(), 1);
        // And the thread can go on.
        assert_eq!(block_on(async { spawn(ready(7)).await.unwrap() }), 7);
    });
}

/// A future that spawns as it is dropped: that one goes as well, and its handle says so.
#[test]
fn what_is_spawned_by_a_drop_at_the_end_is_dropped() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        let handles = Rc::new(RefCell::new(Vec::new()));
        let (token, handed) = (drops.token(), handles.clone());
        block_on(async move {
            spawn(with(
                OnDrop::new(move || {
                    let inner = OnDrop::new(move || drop(spawn(hold(token))));
                    handed.borrow_mut().push(spawn(hold(inner)));
                }),
                pending::<()>(),
            ));
            spawn(pending::<()>());
            // They leave their numbers behind, and those are higher.
            (0..5).for_each(|_| drop(spawn(ready(()))));
            pass().await;
        });
        assert_eq!(drops.count(), 1);
        let handles = handles.take();
        assert_eq!(handles.len(), 1);
        for handle in handles {
            assert!(block_on(handle).unwrap_err().is_cancelled());
        }
    });
}

/// The same in the root's own future, which goes before the tasks do.
#[test]
fn the_root_may_spawn_as_it_is_dropped() {
    on_both(LIMIT, |_| {
        struct Root(Drops);
        impl Future for Root {
            type Output = ();
            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
                Poll::Ready(())
            }
        }
        impl Drop for Root {
            fn drop(&mut self) {
                spawn(hold(self.0.token()));
            }
        }
        let drops = Drops::default();
        block_on(Root(drops.clone()));
        assert_eq!(drops.count(), 1);
    });
}

/// Whoever hears that a task is over can rely on it that its future has gone.
#[test]
fn a_future_is_dropped_before_its_handle_is_told() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        let (finished, aborted) = (drops.token(), drops.token());
        let seen = Rc::new(RefCell::new(Vec::new()));
        block_on(async {
            let finished = spawn(with(finished, yield_now()));
            let aborted = spawn(hold(aborted));
            for (i, mut handle) in [finished, aborted].into_iter().enumerate() {
                let (drops, seen) = (drops.clone(), seen.clone());
                let waker = ring_once(move || seen.borrow_mut().push(drops.count()));
                assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
                if i == 1 {
                    handle.abort();
                }
                pass().await;
                assert!(handle.is_finished());
            }
        });
        assert_eq!(seen.take(), [1, 2]);
    });
}

/// An output that nobody takes is dropped with its handle; without a handle, at once.
#[test]
fn an_output_that_nobody_takes_is_dropped() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        block_on(async {
            let handle = spawn(ready(drops.token()));
            drop(spawn(ready(drops.token())));
            pass().await;
            assert_eq!(drops.count(), 1);
            drop(handle);
            assert_eq!(drops.count(), 2);
        });
    });
}

/// A million tasks come and go, and the memory is where it was: in one `block_on`, where a thousand
/// of them are there at a time, and after it, when they were there all at once.
#[test]
fn a_million_tasks_leave_the_memory_where_it_was() {
    within(LIMIT * 3, || {
        // A ledger grows.
        Ledger::close();
        block_on(async {});
        let before = allocated_bytes();
        block_on(async {
            let mut settled = 0;
            for round in 0..1000 {
                let tasks = (0..1000).map(|i| {
                    spawn(async move {
                        if i % 2 == 0 {
                            yield_now().await;
                        }
                    })
                });
                for (i, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
                    match i % 3 {
                        0 => drop(task),
                        1 => task.abort(),
                        _ => task.await.unwrap(),
                    }
                }
                pass().await;
                if round == 9 {
                    settled = allocated_bytes();
                }
            }
            assert_eq!(allocated_bytes(), settled);
        });
        block_on(async {
            (0..1_000_000).for_each(|_| drop(spawn(pending::<()>())));
            yield_now().await;
        });
        assert_eq!(allocated_bytes(), before);
    });
}

/// A task is three allocations: the future, the task and what the wakers share.
#[test]
fn a_task_is_three_allocations() {
    within(LIMIT, || {
        block_on(async {
            let warm = (0..100).map(|_| spawn(ready(()))).collect::<Vec<_>>();
            pass().await;
            drop(warm);
            let count = allocations(|| (0..50).for_each(|_| drop(spawn(yield_now()))));
            assert_eq!(count, 150);
            let large = [0_u8; 1000];
            let count = allocations(|| drop(spawn(async move { large.len() })));
            assert_eq!(count, 3);
        });
    });
}

// ── Invariant 5: one panics alone ──

/// The handle gets what the task panicked with, and the others go on.
#[test]
fn a_panic_in_a_task_is_its_result() {
    on_both(LIMIT, |_| {
        block_on(async {
            let at_once = spawn(async { panic!("at once") });
            let later = spawn(async {
                yield_now().await;
                panic::panic_any(42_u32)
            });
            let other = spawn(async {
                for _ in 0..10 {
                    yield_now().await;
                }
                "well"
            });
            let error = at_once.await.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            assert_eq!(error.to_string(), "the task panicked");
            assert_eq!(text(error.into_panic()), "at once");
            let error = later.await.unwrap_err();
            assert_eq!(error.into_panic().downcast_ref(), Some(&42_u32));
            assert_eq!(other.await.unwrap(), "well");
        });
    });
}

/// Nor does a `Drop` that panics: of a future that is over, aborted, or there at the end; of an output
/// that nobody takes; of the payload of a panic.
#[test]
fn a_panic_in_a_drop_harms_nobody_else() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        let boom = || OnDrop::new(|| panic!("in a drop"));
        caught(|| {
            block_on(async {
                let others = (0..2).map(|_| spawn(with(drops.token(), sleep(ms(5)))));
                let others = others.collect::<Vec<_>>();
                assert_eq!(spawn(with(boom(), ready(7))).await.unwrap(), 7);
                let aborted = spawn(hold(boom()));
                yield_now().await;
                aborted.abort();
                assert!(aborted.await.unwrap_err().is_cancelled());
                drop(spawn(ready(boom())));
                let worse = || panic::panic_any(SendOnDrop(|| panic!("in a payload")));
                drop(spawn(ready(OnDrop::new(worse))));
                drop(spawn(async move { panic::panic_any(SendOnDrop(|| panic!("in a payload"))) }));
                let twice = spawn(async move {
                    let _boom = boom();
                    future::poll_fn(|_| Poll::<()>::Ready(())).await;
                    7
                });
                // This one panics inside of its last poll.
                assert!(twice.await.unwrap_err().is_panic());
                for other in others {
                    other.await.unwrap();
                }
                spawn(hold(drops.token()));
                spawn(hold(boom()));
                spawn(hold(drops.token()));
                yield_now().await;
            });
        })
        .unwrap();
        assert_eq!(drops.count(), 4);
    });
}

/// Nor does a waker that panics: of whoever awaits a handle, a descriptor or a timer.
#[test]
fn a_panic_in_a_waker_harms_nobody_else() {
    on_both(LIMIT, |_| {
        caught(|| {
            block_on(async {
                let broken = waker_fn(|| panic!("in a waker"));
                let mut cx = Context::from_waker(&broken);

                let mut handle = spawn(yield_now());
                assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
                pass().await;
                handle.await.unwrap();

                // Of two that are ready at the same time, the broken one has the first row.
                let pipes = [pipe(), pipe()];
                let [(broken, mut one), (whole, mut two)] = pipes;
                let mut first = Box::pin(ready_to(Direction::Read, &broken));
                assert!(first.as_mut().poll(&mut cx).is_pending());
                let second = spawn(async move { read_one(&whole).await });
                yield_now().await;
                one.write_all(b"!").unwrap();
                two.write_all(b"?").unwrap();
                assert_eq!(second.await.unwrap(), b'?');

                let mut early = Box::pin(sleep(ms(5)));
                assert!(early.as_mut().poll(&mut cx).is_pending());
                sleep(ms(5)).await;
            });
        })
        .unwrap();

        // And at the end, when the handles hear that their tasks are cancelled.
        let drops = Drops::default();
        let handle = block_on(async {
            spawn(hold(drops.token()));
            let mut handle = spawn(hold(drops.token()));
            spawn(hold(drops.token()));
            let broken = waker_fn(|| panic!("in a waker"));
            assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&broken)).is_pending());
            handle
        });
        assert_eq!(drops.count(), 3);
        assert!(block_on(handle).unwrap_err().is_cancelled());
    });
}

/// A waker may do what it likes at once: poll, spawn, abort. Nothing of ours is borrowed meanwhile.
#[test]
fn a_waker_that_polls_at_once_finds_all_in_its_place() {
    on_both(LIMIT, |_| {
        block_on(async {
            let output = Rc::new(Cell::new(0));
            let handle = Rc::new(RefCell::new(spawn(async {
                yield_now().await;
                7
            })));
            let (polled, seen) = (handle.clone(), output.clone());
            let waker = ring_once(move || {
                let mut cx = Context::from_waker(Waker::noop());
                if let Poll::Ready(result) = Pin::new(&mut *polled.borrow_mut()).poll(&mut cx) {
                    seen.set(result.unwrap());
                }
                spawn(ready(())).abort();
            });
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut *handle.borrow_mut()).poll(&mut cx).is_pending());
            pass().await;
            assert_eq!(output.get(), 7);
        });
    });
}

/// A task may run an executor of its own inside of its poll.
#[test]
fn a_poll_inside_of_a_poll_harms_nobody() {
    on_both(LIMIT, |_| {
        block_on(async {
            let nested = spawn(async {
                ch04_park::block_on(join(yield_now(), yield_now()));
                ch09_timer::block_on(sleep(ms(5)));
                // Its handles are futures as all others: what they need is polled outside.
                let mut inner = spawn(ready(7));
                let polled = ch04_park::block_on(poll_fn(|cx| {
                    Poll::Ready(Pin::new(&mut inner).poll(cx).is_ready())
                }));
                assert!(!polled);
                inner.await.unwrap()
            });
            assert_eq!(nested.await.unwrap(), 7);

            // A panic in there is that of the task, whoever is polled by it at that moment.
            let (drops, beside) = (Drops::default(), spawn(async { yield_now().await }));
            let token = drops.token();
            let nested = spawn(async move {
                let held = hold(token);
                ch09_timer::block_on(join(held, async {
                    sleep(ms(1)).await;
                    panic!("in the inner poll")
                }))
            });
            assert_eq!(text(nested.await.unwrap_err().into_panic()), "in the inner poll");
            assert_eq!(drops.count(), 1);
            beside.await.unwrap();

            // It is refused for a while when the budget of its task is used up, and not for ever.
            let nested = spawn(async {
                ch04_park::block_on(async {
                    for _ in 0..1000 {
                        budget::spend().await;
                    }
                });
            });
            nested.await.unwrap();
        });
    });
}

// ── Handles ──

/// A task is over when its future is gone and not before: what the future owns may look at the handle
/// while it is dropped.
#[test]
fn a_task_that_is_being_dropped_is_not_over_yet() {
    type Slot = Rc<RefCell<Option<JoinHandle<()>>>>;
    struct Looks(Slot, Rc<Cell<u32>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            let mut handle = self.0.take().unwrap();
            assert!(!handle.is_finished());
            assert!(poll_once(Pin::new(&mut handle)).is_pending());
            self.0.replace(Some(handle));
            self.1.set(self.1.get() + 1);
        }
    }
    on_both(LIMIT, |_| {
        block_on(async {
            let (slot, looks) = (Slot::default(), Rc::new(Cell::new(0)));
            for aborted in [false, true] {
                let (turns, own) =
                    (if aborted { 9 } else { 1 }, Looks(slot.clone(), looks.clone()));
                slot.replace(Some(spawn(async move {
                    let _own = own;
                    for _ in 0..turns {
                        yield_now().await;
                    }
                })));
                yield_now().await;
                if aborted {
                    slot.borrow().as_ref().unwrap().abort();
                }
                yield_now().await;
                yield_now().await;
                let handle = slot.take().unwrap();
                assert_eq!(handle.await.is_err(), aborted);
            }
            assert_eq!(looks.get(), 2);
        });
    });
}

#[test]
fn a_handle_that_is_dropped_keeps_no_waker() {
    on_both(LIMIT, |_| {
        block_on(async {
            let (bell, waker) = Bell::new();
            let mut handle = spawn(yield_now());
            let poll = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(poll.is_pending());
            drop((waker, handle));
            assert_eq!(Arc::strong_count(&bell), 1);
        });
    });
}

#[test]
fn a_handle_gives_the_output_once() {
    on_both(LIMIT, |_| {
        block_on(async {
            let mut handle = spawn(async { String::from("output") });
            assert!(!handle.is_finished());
            assert_eq!((&mut handle).await.unwrap(), "output");
            assert!(handle.is_finished());
            let again = caught(|| {
                Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())).is_ready()
            });
            assert_eq!(text(again.unwrap_err()), "`JoinHandle` polled after it was ready");
        });
    });
}

/// Polled in one task and moved into another, it wakes the other.
#[test]
fn the_newest_waker_of_a_handle_is_woken() {
    on_both(LIMIT, |_| {
        block_on(async {
            let mut handle = spawn(sleep(ms(5)));
            let (bell, waker) = Bell::new();
            assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
            spawn(handle).await.unwrap().unwrap();
            assert_eq!(bell.rung(), 0);
        });
    });
}

/// Without its handle a task runs on.
#[test]
fn a_task_without_a_handle_runs_on() {
    on_both(LIMIT, |_| {
        let done = Rc::new(Cell::new(false));
        let finish = done.clone();
        block_on(async move {
            drop(spawn(async move {
                sleep(ms(5)).await;
                finish.set(true);
            }));
            sleep(ms(20)).await;
        });
        assert!(done.get());
    });
}

/// Aborted, a task is not polled again; its future is dropped on the next turn, and the handle says
/// that it was cancelled.
#[test]
fn an_aborted_task_is_cancelled() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        block_on(async {
            let unpolled = spawn(with(drops.token(), async { unreachable!("it was aborted") }));
            unpolled.abort();
            unpolled.abort();
            let error: JoinError = unpolled.await.map(|(): ()| ()).unwrap_err();
            assert!(error.is_cancelled() && !error.is_panic());
            assert_eq!(error.to_string(), "the task was aborted");
            assert_eq!(drops.count(), 1);

            let waiting = spawn(hold(drops.token()));
            yield_now().await;
            waiting.abort();
            assert!(!waiting.is_finished(), "not before its turn");
            assert_eq!(drops.count(), 1);
            assert!(waiting.await.unwrap_err().is_cancelled());
            assert_eq!(drops.count(), 2);

            let over = spawn(ready(7));
            yield_now().await;
            over.abort();
            assert_eq!(over.await.unwrap(), 7);
        });
    });
}

/// A task may abort itself: this poll goes to its end, and there is no other.
#[test]
fn a_task_may_abort_itself() {
    on_both(LIMIT, |_| {
        block_on(async {
            for finishes in [true, false] {
                let own = Rc::new(RefCell::new(None::<JoinHandle<u32>>));
                let me = own.clone();
                let task = spawn(async move {
                    me.borrow().as_ref().unwrap().abort();
                    if !finishes {
                        yield_now().await;
                    }
                    7
                });
                own.replace(Some(task));
                pass().await;
                let task = own.take().unwrap();
                assert!(task.is_finished());
                assert_eq!(task.await.ok(), finishes.then_some(7));
            }
        });
    });
}

/// What stands in the place of a task that is over has nothing to fear from its handle.
#[test]
fn to_abort_what_is_over_aborts_nobody_else() {
    on_both(LIMIT, |_| {
        block_on(async {
            let over = spawn(ready(()));
            yield_now().await;
            let other = spawn(sleep(ms(5)));
            yield_now().await;
            over.abort();
            other.await.unwrap();
        });
    });
}

/// A handle that outlives its runtime: the error comes at once, wherever it is awaited.
#[test]
fn a_handle_awaited_after_the_end_of_its_runtime_is_an_error() {
    on_both(LIMIT, |_| {
        let (mut waiting, mut over) = block_on(async {
            let tasks = (spawn(pending::<()>()), spawn(ready(7)));
            yield_now().await;
            tasks
        });
        waiting.abort();
        let error = ch04_park::block_on(&mut waiting).unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        let says = error.to_string();
        assert!(says.contains("its `block_on` returned; await its handle there"), "{says}");
        assert_eq!(block_on(&mut over).unwrap(), 7);
        let told = block_on(async { spawn(pending::<()>()) });
        assert!(block_on(async { spawn(told).await.unwrap() }).unwrap_err().is_cancelled());
    });
}

/// An error goes wherever errors go.
#[test]
fn a_join_error_is_an_error() {
    fn is_error<E: Error + Send + Sync + 'static>() {}
    is_error::<JoinError>();
    on_both(LIMIT, |_| {
        let error = block_on(async {
            let task = spawn(pending::<()>());
            task.abort();
            task.await.unwrap_err()
        });
        let refused = caught(|| error.into_panic()).unwrap_err();
        assert_eq!(text(refused), "no panic: the task was aborted");
    });
}

// ── Where it may be called ──

#[test]
fn spawn_outside_a_runtime_says_what_to_do() {
    on_both(LIMIT, |_| {
        let outside: [fn(); 2] = [
            || drop(spawn(ready(()))),
            || {
                ch09_timer::block_on(async { drop(spawn(ready(()))) });
            },
        ];
        for outside in outside {
            let refused = text(caught(outside).unwrap_err());
            assert!(refused.contains("`spawn` outside a runtime: call it in"), "{refused}");
        }
    });
}

#[test]
fn block_on_inside_a_runtime_says_what_to_do() {
    on_both(LIMIT, |_| {
        block_on(async {
            let refused = text(caught(|| block_on(ready(()))).unwrap_err());
            assert!(refused.contains("use `.await`, or another thread"), "{refused}");
            let in_a_task = spawn(async { block_on(ready(())) });
            assert!(in_a_task.await.unwrap_err().is_panic());
            // Another thread has a runtime of its own.
            let there = thread::spawn(|| block_on(async { spawn(ready(7)).await.unwrap() }));
            assert_eq!(there.join().unwrap(), 7);
            // And this one still works.
            spawn(ready(())).await.unwrap();
        });
    });
}

/// It returns what the future returns, `Send` or not, borrowed or not, and needs no task for it.
#[test]
fn block_on_returns_the_output_of_any_future() {
    on_both(LIMIT, |_| {
        let (text, local) = (String::from("text"), Rc::new(7));
        let output = block_on(async {
            yield_now().await;
            (text.as_str(), local.clone())
        });
        assert_eq!(output, ("text", Rc::new(7)));
        for i in 0..1000 {
            assert_eq!(block_on(ready(i)), i);
        }
    });
}

/// A thread that has a runtime of its own wakes a task of another one: whose number is the same.
#[test]
fn a_wake_goes_to_the_runtime_of_its_task() {
    on_both(LIMIT, |_| {
        block_on(async {
            let (waker, wakers) = mpsc::channel::<Waker>();
            let there = thread::spawn(move || {
                block_on(async {
                    let (others, _) = counted(u32::MAX);
                    yield_now().await;
                    wakers.recv().unwrap().wake();
                    pass().await;
                    assert_eq!(others.get(), 1);
                });
            });
            let mut polls = 0;
            let task = spawn(poll_fn(move |cx| {
                polls += 1;
                if polls == 1 {
                    waker.send(cx.waker().clone()).unwrap();
                    return Poll::Pending;
                }
                Poll::Ready(())
            }));
            task.await.unwrap();
            there.join().unwrap();
        });
    });
}

/// Two threads, two runtimes: each runs its own tasks, and a handle is of its thread.
#[test]
fn every_thread_has_its_own_runtime() {
    within(LIMIT, || {
        let threads = (0..4).map(|_| {
            thread::spawn(|| {
                let here = thread::current().id();
                block_on(async move {
                    let tasks = (0..100).map(|_| {
                        spawn(async move {
                            yield_now().await;
                            assert_eq!(thread::current().id(), here);
                        })
                    });
                    for result in join_all(tasks).await {
                        result.unwrap();
                    }
                });
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    });
}

// ── In the world ──

/// A thousand tasks wait, for ever and for a moment: the thread sleeps. In a process of its own, so
/// that other tests do not add to the time.
#[test]
fn a_thousand_tasks_that_wait_cost_nothing() {
    let name = "a_thousand_tasks_that_wait_cost_nothing";
    for backend in ["poll", "select"] {
        in_a_process(name, LIMIT, Some(backend), || {
            block_on(async {
                (0..1000).for_each(|_| drop(spawn(pending::<()>())));
                let pipes = [pipe(), pipe()];
                let [(one, _keep), (two, _too)] = pipes;
                spawn(async move { read_one(&one).await });
                spawn(async move { read_one(&two).await });
                sleep(ms(10)).await;
                let before = sys::cpu_time().expect("this system says");
                sleep(Duration::from_secs(1)).await;
                let busy = sys::cpu_time().unwrap() - before;
                assert!(busy <= ms(10), "{busy:?} of CPU time in a second");
            });
        });
    }
}

/// Whatever signals interrupt and whatever readiness is made up: the tasks get there.
#[test]
fn faults_of_the_system_change_nothing() {
    for seed in 1..=20 {
        for backend in ["poll", "select"] {
            within(LIMIT, move || {
                ask_by(by(backend)).unwrap();
                sys::inject(Some(Faults {
                    seed,
                    one_in: 3,
                    errors: &[
                        ("poll", libc::EINTR),
                        ("select", libc::EINTR),
                        ("write", libc::EINTR),
                        ("read", libc::EINTR),
                    ],
                    short: true,
                }));
                block_on(async {
                    let tasks = (0..10).map(|i| {
                        spawn(async move {
                            let (reader, mut writer) = pipe();
                            let task = spawn(async move { read_one(&reader).await });
                            sleep(ms(i)).await;
                            thread::spawn(move || writer.write_all(b"!").unwrap());
                            task.await.unwrap()
                        })
                    });
                    for result in join_all(tasks).await {
                        assert_eq!(result.unwrap(), b'!');
                    }
                });
            });
        }
    }
}

// ── What the tests are made of ──

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Spawns a task that is ready at its poll with this number, woken by nobody but its waker.
fn counted(ready_at: u32) -> (Rc<Cell<u32>>, Rc<Cell<Option<Waker>>>) {
    let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let (count, keep) = (polls.clone(), waker.clone());
    spawn(poll_fn(move |cx| {
        count.set(count.get() + 1);
        keep.set(Some(cx.waker().clone()));
        if count.get() == ready_at {
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
        }
        if count.get() < ready_at { Poll::Pending } else { Poll::Ready(()) }
    }));
    (polls, waker)
}

/// The waker of the task that asks.
async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Time for everything that is in a queue, that of other threads included.
async fn pass() {
    for _ in 0..200 {
        yield_now().await;
    }
}

/// Sends back what it reads.
async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..length]).await.unwrap();
    }
}

async fn for_ever() {
    loop {
        yield_now().await;
    }
}

/// Never ready, and owns something.
async fn hold<T>(owned: T) {
    with(owned, pending()).await
}

/// `future`, and something that it owns: dropped with it, and not before.
fn with<T, F: Future>(owned: T, future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        let _owned = &owned;
        future.as_mut().poll(cx)
    })
}

/// Woken by eight threads, ready when it has seen all that they have done; how often it was polled,
/// and how often woken.
async fn eight_threads() -> (u32, u32) {
    let each = 100_000;
    let (done, start) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(8)));
    let (mut polls, mut started) = (0, false);
    poll_fn(|cx| {
        polls += 1;
        for _ in 0..if started { 0 } else { 8 } {
            let (done, start, waker) = (done.clone(), start.clone(), cx.waker().clone());
            thread::spawn(move || {
                start.wait();
                for _ in 0..each {
                    done.fetch_add(1, Ordering::Relaxed);
                    waker.wake_by_ref();
                }
            });
        }
        started = true;
        if done.load(Ordering::Relaxed) == 8 * each { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (polls, 8 * each)
}

/// Says on which thread it is dropped.
struct Watched {
    seen: Arc<Mutex<Vec<ThreadId>>>,
    _local: Rc<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.seen.lock().unwrap().push(thread::current().id());
    }
}

/// Does something when it is dropped.
struct OnDrop(Option<Box<dyn FnOnce()>>);

impl OnDrop {
    fn new(f: impl FnOnce() + 'static) -> Self {
        OnDrop(Some(Box::new(f)))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

/// The same, to panic with.
struct SendOnDrop(fn());

impl Drop for SendOnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

type Ring = Box<dyn FnOnce()>;

thread_local! {
    static RINGS: RefCell<Vec<Option<Ring>>> = const { RefCell::new(Vec::new()) };
}

/// A waker that does something on this thread, the first time it is woken; what it does need not be
/// `Send`.
fn ring_once(f: impl FnOnce() + 'static) -> Waker {
    let number = RINGS.with_borrow_mut(|rings| {
        rings.push(Some(Box::new(f)));
        rings.len() - 1
    });
    waker_fn(move || {
        let ring = RINGS.with_borrow_mut(|rings| rings[number].take());
        if let Some(ring) = ring {
            ring();
        }
    })
}

/// A pipe whose reading end does not block.
fn pipe() -> (PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    sys::set_nonblocking(&reader).unwrap();
    (reader, writer)
}

/// A port of this machine, whichever is free.
const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Both ends of a connection.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOCAL).unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (here, there) = join(connect, listener.accept()).await;
    (here.unwrap(), there.unwrap().0)
}

async fn read_one(mut reader: &PipeReader) -> u8 {
    loop {
        let mut byte = [0];
        match reader.read(&mut byte) {
            Ok(1) => return byte[0],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // An error is one that a test has injected.
                let _ = ready_to(Direction::Read, reader).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What `f` returns or panics with.
fn caught<T>(f: impl FnOnce() -> T) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(f))
}

/// What somebody panicked with.
fn text(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).expect("a text")
}
