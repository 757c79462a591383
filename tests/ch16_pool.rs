//! Layer 16, invariant by invariant, with workers whose reactors ask by poll(2) and by select(2).

#![cfg(all(unix, not(miri)))] // poll(2) and select(2).

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{pending, ready};
use std::io::{Read, Write};
use std::net;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures::future::join_all;
use futures::io::{AsyncReadExt, AsyncWriteExt};

use support::reactors::by;
use support::{Bell, Drops, Event, Now, Waiting, allocated_bytes, in_a_process, ledger, within};
use under_await::ch01_future::poll_fn;
use under_await::ch05_handoff::oneshot;
use under_await::ch08_poll::ask_by;
use under_await::ch11_task::{block_on, spawn};
use under_await::ch13_race::{Either, on_drop, race};
use under_await::ch14_sync::channel;
use under_await::ch16_pool::{JoinHandle, Pool};
use under_await::net::{TcpListener, TcpStream};
use under_await::sys::{self, Faults};
use under_await::time::{sleep, timeout};
use under_await::{ch04_park, yield_now};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(30);

// ── Invariant 1: made here ──

/// A thousand futures note the thread on which they are made, on which each poll is, and on which they
/// are dropped. Half of them are woken by another thread.
#[test]
fn a_future_is_made_polled_and_dropped_on_one_thread() {
    on_both(LIMIT, |backend| {
        let pool = pool_by(backend, 4);
        let wakers = Waking::new();
        let tasks = (0..1000).map(|number| {
            let (seen, wakers) = (Arc::new(Mutex::new(Vec::new())), wakers.clone());
            let note = seen.clone();
            let handle = pool.spawn(move || {
                let note = Rc::new(move || note.lock().unwrap().push(thread::current().id()));
                note();
                async move {
                    let leave = note.clone();
                    let _guard = on_drop(move || leave());
                    for _ in 0..3 {
                        note();
                        if number % 2 == 0 { wakers.elsewhere().await } else { yield_now().await }
                    }
                }
            });
            (handle, seen)
        });
        for (handle, seen) in tasks.collect::<Vec<_>>() {
            block_on(handle).unwrap();
            let seen = seen.lock().unwrap();
            assert_eq!(seen.len(), 5, "made, polled three times, dropped");
            assert!(seen.iter().all(|thread| *thread == seen[0]), "{seen:?}");
            assert_ne!(seen[0], thread::current().id());
        }
    });
}

/// What is not `Send` may stand in a future across an await: a count of owners, a borrow, a guard of std's.
#[test]
#[allow(clippy::await_holding_refcell_ref, clippy::await_holding_lock)] // Nobody else is at them.
fn a_task_keeps_what_is_not_send_across_its_awaits() {
    on_both(LIMIT, |backend| {
        let pool = pool_by(backend, 2);
        let sums = (0..10_u64).map(|n| {
            pool.spawn(move || async move {
                let (shared, lock) = (Rc::new(RefCell::new(n)), std::sync::Mutex::new(1));
                let other = shared.clone();
                let mut borrowed = other.borrow_mut();
                let guard = lock.lock().unwrap();
                sleep(ms(1)).await;
                *borrowed += *guard;
                drop((borrowed, guard));
                drop(other);
                Rc::into_inner(shared).unwrap().into_inner()
            })
        });
        let sums = block_on(join_all(sums.collect::<Vec<_>>()));
        assert_eq!(sums.into_iter().map(Result::unwrap).sum::<u64>(), 55);
    });
}

/// The closure is called when its turn comes, and where its future will be; also when a task of the pool
/// hands it over, to its own worker or to another one.
#[test]
fn a_closure_is_called_on_the_thread_of_its_worker() {
    within(LIMIT, || {
        let pool = Arc::new(Pool::new(2).unwrap());
        let thread_of =
            |n| block_on(pool.spawn_on(n, || async { thread::current().id() })).unwrap();
        let threads = [thread_of(0), thread_of(1)];
        assert_ne!(threads[0], threads[1]);
        for from in [0, 1] {
            let inner = pool.clone();
            let made = pool.spawn_on(from, move || async move {
                let made = |n| inner.spawn_on(n, || ready(thread::current().id()));
                (made(0).await.unwrap(), made(1).await.unwrap())
            });
            assert_eq!(block_on(made).unwrap(), (threads[0], threads[1]));
        }
    });
}

/// A pool goes to where it is wanted, and so does a handle; both are shared, too.
#[test]
fn pools_and_handles_go_to_other_threads() {
    fn goes<T: Send + Sync>() {}
    goes::<Pool>();
    goes::<JoinHandle<Vec<u8>>>();
    goes::<JoinHandle<std::cell::Cell<u8>>>();
}

// ── Invariant 2: in turn ──

/// A thousand tasks on four workers.
#[test]
fn each_of_four_workers_gets_250_of_a_thousand_tasks() {
    within(LIMIT, || {
        let pool = Pool::new(4).unwrap();
        assert_eq!(pool.threads(), 4);
        let handles = (0..1000).map(|_| pool.spawn(|| async { thread::current().id() }));
        let seen = handles.collect::<Vec<_>>().into_iter().map(|handle| block_on(handle).unwrap());
        let seen = seen.collect::<Vec<_>>();
        assert_eq!(tally(&seen), [250; 4]);
        // And by turns: each number is four further on.
        assert!(seen.iter().zip(&seen[4..]).all(|(a, b)| a == b));
    });
}

/// What is meant for one worker goes to that one, and takes nobody's turn.
#[test]
fn a_task_for_one_worker_takes_nobodys_turn() {
    within(LIMIT, || {
        let pool = Pool::new(3).unwrap();
        let here = || async { thread::current().id() };
        let fixed = (0..3).map(|n| block_on(pool.spawn_on(n, here)).unwrap()).collect::<Vec<_>>();
        for turn in 0..30 {
            assert_eq!(block_on(pool.spawn(here)).unwrap(), fixed[turn % 3]);
            assert_eq!(block_on(pool.spawn_on(1, here)).unwrap(), fixed[1]);
        }
    });
}

/// A number that no worker has is a panic of whoever asks. The pool goes on.
#[test]
fn there_is_no_worker_beyond_the_last() {
    within(LIMIT, || {
        let pool = Pool::new(2).unwrap();
        assert!(caught(|| drop(pool.spawn_on(2, || async {}))).is_err());
        block_on(pool.spawn_on(1, || async {})).unwrap();
        let none = text(caught(|| drop(Pool::new(0))).unwrap_err());
        assert_eq!(none, "a pool has a thread or more");
    });
}

/// What a task spawns stays with its worker: children, and their children.
#[test]
fn children_stay_with_their_parents() {
    on_both(LIMIT, |backend| {
        let pool = pool_by(backend, 4);
        let families = (0..20).map(|_| {
            pool.spawn(|| async {
                let child = || async {
                    yield_now().await;
                    let grandchild = spawn(async {
                        sleep(ms(1)).await;
                        thread::current().id()
                    });
                    [thread::current().id(), grandchild.await.unwrap()]
                };
                let children = (0..10).map(|_| spawn(child())).collect::<Vec<_>>();
                let seen = join_all(children).await.into_iter().flat_map(Result::unwrap);
                (thread::current().id(), seen.collect::<Vec<_>>())
            })
        });
        for family in families.collect::<Vec<_>>() {
            let (parent, children) = block_on(family).unwrap();
            assert_eq!(children, [parent; 20]);
        }
    });
}

/// Eight threads spawn ten thousand tasks each, at the same time, and all of them run: as many on each
/// worker.
#[test]
fn of_eighty_thousand_tasks_from_eight_threads_none_is_lost() {
    within(LIMIT * 4, || {
        let pool = Pool::new(4).unwrap();
        let (ran, start) = (Mutex::new(Vec::new()), Barrier::new(8));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let handles = (0..10_000).map(|_| pool.spawn(|| ready(thread::current().id())));
                    let handles = handles.collect::<Vec<_>>();
                    let seen =
                        handles.into_iter().map(|handle| ch04_park::block_on(handle).unwrap());
                    ran.lock().unwrap().extend(seen.collect::<Vec<_>>());
                });
            }
        });
        assert_eq!(tally(&ran.into_inner().unwrap()), [20_000; 4]);
    });
}

/// A task that does not yield holds up those of its worker, and no others.
#[test]
fn a_task_that_computes_holds_up_its_own_worker_only() {
    within(LIMIT, || {
        let pool = Pool::new(2).unwrap();
        let (release, wait) = mpsc::channel::<()>();
        let long = pool.spawn(move || async move { wait.recv().is_ok() });
        let mut short = (0..9).map(|_| Waiting::new(pool.spawn(|| async {}))).collect::<Vec<_>>();
        // 1, 3, 5, 7 and 9 go to the other worker; a task behind them says when they are over.
        block_on(pool.spawn_on(1, || async {})).unwrap();
        let over = short.iter_mut().map(|task| task.poll().is_ready()).collect::<Vec<_>>();
        assert_eq!(over, (1..=9).map(|n| n % 2 == 1).collect::<Vec<_>>());
        release.send(()).unwrap();
        assert!(block_on(long).unwrap());
        block_on(pool.spawn_on(0, || async {})).unwrap();
        let mut rest = short.iter_mut().zip(over).filter(|(_, over)| !over);
        assert!(rest.all(|(task, _)| task.poll().is_ready()));
    });
}

// ── Reactors of their own ──

/// A thousand requests over ten connections, which were handed to two workers: every wake of their tasks
/// comes from the thread that polls them, and no byte is written into a worker's pipe.
#[test]
fn an_echo_wakes_nobody_on_another_thread() {
    on_both(LIMIT, |backend| {
        let pool = pool_by(backend, 2);
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let wakes = Arc::new(Wakes::default());
        let mut clients = Vec::new();
        let connections = (0..10).map(|_| {
            clients.push(net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            let (socket, _) = listener.accept().unwrap();
            let wakes = wakes.clone();
            pool.spawn(move || {
                counted(wakes, async {
                    let stream = TcpStream::from_std(socket).unwrap();
                    echo(stream).await;
                })
            })
        });
        let connections = connections.collect::<Vec<_>>();
        let ledger = attached(&pool);
        let mut request = |round: u8| {
            for client in &mut clients {
                client.write_all(&[round]).unwrap();
            }
            for client in &mut clients {
                let mut reply = [0];
                client.read_exact(&mut reply).unwrap();
                assert_eq!(reply, [round]);
            }
        };
        request(0);
        let rung = ledger.count(Event::Call("write"));
        (1..100).for_each(&mut request);
        assert_eq!(ledger.count(Event::Call("write")), rung, "a worker was rung");
        drop(clients);
        for connection in connections {
            block_on(connection).unwrap();
        }
        assert_eq!(wakes.elsewhere.load(Ordering::Relaxed), 0);
        let here = wakes.here.load(Ordering::Relaxed);
        assert!(here > 500, "{here} wakes for 1,000 requests");
    });
}

/// Timers and sockets in every worker: a server in each, and clients of it in all others.
#[test]
fn timers_and_sockets_work_in_every_worker() {
    on_both(LIMIT, |backend| {
        let pool = pool_by(backend, 3);
        let servers = (0..3).map(|n| {
            let (tell, told) = mpsc::channel();
            let server = pool.spawn_on(n, move || async move {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0)).unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let mut echoes = Vec::new();
                for _ in 0..3 {
                    echoes.push(spawn(echo(listener.accept().await.unwrap().0)));
                }
                for echo in echoes {
                    echo.await.unwrap();
                }
            });
            (server, told.recv().unwrap())
        });
        let servers = servers.collect::<Vec<_>>();
        let clients = servers.iter().flat_map(|(_, address)| {
            (0..3).map(|n| {
                let address = *address;
                pool.spawn_on(n, move || async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    for word in [b"one", b"two"] {
                        let mut reply = [0; 3];
                        stream.write_all(word).await.unwrap();
                        stream.read_exact(&mut reply).await.unwrap();
                        assert_eq!(&reply, word);
                        assert!(timeout(ms(1), pending::<()>()).await.is_err());
                    }
                })
            })
        });
        for client in clients.collect::<Vec<_>>() {
            block_on(client).unwrap();
        }
        for (server, _) in servers {
            block_on(server).unwrap();
        }
    });
}

/// Tasks of two workers play ping-pong, and threads wake tasks of both: no wake is lost between threads.
#[test]
fn no_wake_from_one_thread_to_another_is_lost() {
    on_both(LIMIT * 2, |backend| {
        let pool = pool_by(backend, 2);
        let games = (0..4).map(|_| {
            let ((ping, mut pings), (pong, mut pongs)) = (channel(1), channel(1));
            let player = pool.spawn_on(0, move || async move {
                for n in 0..5_000 {
                    ping.send(n).await.unwrap();
                    assert_eq!(pongs.recv().await, Some(n));
                }
            });
            let partner = pool.spawn_on(1, move || async move {
                while let Some(n) = pings.recv().await {
                    pong.send(n).await.unwrap();
                }
            });
            [player, partner]
        });
        let woken = (0..2).map(|n| pool.spawn_on(n, eight_threads));
        for handle in
            woken.collect::<Vec<_>>().into_iter().chain(games.flatten().collect::<Vec<_>>())
        {
            block_on(handle).unwrap();
        }
    });
}

/// Signals and failing pipes change nothing.
#[test]
fn faults_of_the_system_change_nothing() {
    for seed in 1..=10 {
        within(LIMIT, move || {
            let pool = Arc::new(Pool::new(2).unwrap());
            for n in 0..2 {
                let errors =
                    &[("poll", libc::EINTR), ("write", libc::EINTR), ("read", libc::EINTR)];
                let faults = Faults { seed, one_in: 3, errors, short: true };
                block_on(pool.spawn_on(n, move || async move { sys::inject(Some(faults)) }))
                    .unwrap();
            }
            let sums = (0..20).map(|n| {
                pool.spawn(move || async move {
                    sleep(ms(n % 3)).await;
                    spawn(async move { n }).await.unwrap()
                })
            });
            let sums = block_on(join_all(sums.collect::<Vec<_>>()));
            assert_eq!(sums.into_iter().map(Result::unwrap).sum::<u64>(), 190);
        });
    }
}

// ── Invariant 3: all hear ──

/// A panic in the closure, in a poll, and in a drop: the handle gets it, or hears that the task was aborted,
/// and the others on that worker do not notice.
#[test]
fn a_panic_goes_to_the_handle_and_the_worker_goes_on() {
    on_both(LIMIT, |backend| {
        quietly();
        let pool = pool_by(backend, 1);
        let beside = pool.spawn(|| async {
            for _ in 0..100 {
                yield_now().await;
            }
        });
        let in_make = pool.spawn(|| {
            if thread::current().name() != Some("nobody") {
                panic!("in the closure");
            }
            ready(())
        });
        let in_poll = pool.spawn(|| async {
            yield_now().await;
            panic!("in a poll")
        });
        let in_drop = pool.spawn(|| {
            let guard = on_drop(|| panic!("in a drop"));
            let mut done = false;
            poll_fn(move |cx| {
                let _guard = &guard;
                if std::mem::replace(&mut done, true) {
                    return Poll::Ready(7);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        });
        let aborted_in_drop = pool.spawn(|| async {
            let _guard = on_drop(|| panic!("in a drop"));
            pending::<()>().await
        });
        let panic = block_on(in_make).unwrap_err();
        assert!(panic.is_panic());
        assert_eq!(text(panic.into_panic()), "in the closure");
        let panic = block_on(in_poll).map(|(): ()| ()).unwrap_err();
        assert_eq!(text(panic.into_panic()), "in a poll");
        // The closure's future ends within a poll, as with any `.await`.
        let panic = block_on(in_drop).unwrap_err();
        assert_eq!(text(panic.into_panic()), "in a drop");
        aborted_in_drop.abort();
        assert!(block_on(aborted_in_drop).unwrap_err().is_cancelled());
        // What nobody wants any more panics when it is dropped.
        let (release, wait) = mpsc::channel::<()>();
        drop(pool.spawn(move || async move {
            let _ = wait.recv();
            on_drop(|| panic!("an output"))
        }));
        drop(release);
        block_on(beside).unwrap();
        block_on(pool.spawn(|| async {})).unwrap();
    });
}

/// A task that waits, one that has not begun, and one that is over; the first is dropped on its thread,
/// the second is never made, the third stays as it is.
#[test]
fn an_aborted_task_is_cancelled() {
    on_both(LIMIT, |backend| {
        let pool = pool_by(backend, 1);
        let home = block_on(pool.spawn(|| async { thread::current().id() })).unwrap();
        let (seen, begun) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (note, tell) = (seen.clone(), begun.clone());
        let waits = pool.spawn(move || async move {
            let _guard = on_drop(move || *note.lock().unwrap() = Some(thread::current().id()));
            tell.store(true, Ordering::Relaxed);
            pending::<()>().await
        });
        block_on(pool.spawn(yield_now)).unwrap();
        assert!(begun.load(Ordering::Relaxed));
        assert_eq!(*seen.lock().unwrap(), None);
        waits.abort();
        waits.abort();
        let error = block_on(waits).unwrap_err();
        assert_eq!(
            (error.is_cancelled(), error.to_string()),
            (true, "the task was aborted".into())
        );
        assert_eq!(*seen.lock().unwrap(), Some(home), "dropped before the handle hears of it");

        let (release, wait) = mpsc::channel::<()>();
        let blocks = pool.spawn(move || async move {
            {
                let _ = wait.recv();
            }
        });
        let (calls, closures) = (Arc::new(AtomicU32::new(0)), Drops::default());
        let (call, token) = (calls.clone(), closures.token());
        let not_begun = pool.spawn(move || {
            let _token = token;
            call.fetch_add(1, Ordering::Relaxed);
            ready(())
        });
        not_begun.abort();
        drop(release);
        block_on(blocks).unwrap();
        assert!(block_on(not_begun).unwrap_err().is_cancelled());
        assert_eq!((calls.load(Ordering::Relaxed), closures.count()), (0, 1));

        let over = pool.spawn(|| async { 5 });
        block_on(pool.spawn(yield_now)).unwrap();
        over.abort();
        assert_eq!(block_on(over).unwrap(), 5);
    });
}

/// A task that wakes itself all the time is aborted as well, and so is one that aborts itself.
#[test]
fn a_busy_task_is_aborted_when_its_turn_comes() {
    within(LIMIT, || {
        let pool = Pool::new(1).unwrap();
        let busy = pool.spawn(for_ever);
        block_on(pool.spawn(|| async {})).unwrap();
        busy.abort();
        assert!(block_on(busy).unwrap_err().is_cancelled());

        let (give, handle) = mpsc::channel::<Arc<JoinHandle<()>>>();
        let itself = Arc::new(pool.spawn(move || async move {
            handle.recv().unwrap().abort();
            pending::<()>().await
        }));
        give.send(itself.clone()).unwrap();
        let itself = retry(itself, Arc::try_unwrap);
        assert!(block_on(itself).unwrap_err().is_cancelled());
    });
}

/// Without its handle a task goes on; what comes of it is dropped, once.
#[test]
fn a_task_without_a_handle_runs_on() {
    within(LIMIT, || {
        let (pool, drops) = (Pool::new(1).unwrap(), Drops::default());
        let (tell, told) = mpsc::channel();
        let token = drops.token();
        drop(pool.spawn(move || async move {
            sleep(ms(5)).await;
            tell.send(thread::current().id()).unwrap();
            token
        }));
        let home = told.recv().unwrap();
        assert_eq!(block_on(pool.spawn(|| async { thread::current().id() })).unwrap(), home);
        block_on(pool.spawn(yield_now)).unwrap();
        assert_eq!(drops.count(), 1);

        // The answer is there, and nobody takes it.
        let token = drops.token();
        let handle = pool.spawn(move || async move { token });
        block_on(pool.spawn(yield_now)).unwrap();
        assert_eq!(drops.count(), 1);
        drop(handle);
        assert_eq!(drops.count(), 2);
    });
}

/// A handle is awaited by a task of another pool, by a thread that only parks, and by reference.
#[test]
fn a_handle_is_awaited_anywhere() {
    on_both(LIMIT, |backend| {
        let (pool, other) = (Arc::new(pool_by(backend, 2)), pool_by(backend, 1));
        let slow = || async {
            sleep(ms(20)).await;
            thread::current().id()
        };
        let handle = pool.spawn(slow);
        let there =
            other.spawn(move || async move { (handle.await.unwrap(), thread::current().id()) });
        let (ran, awaited) = block_on(there).unwrap();
        assert_ne!(ran, awaited);
        ch04_park::block_on(pool.spawn(slow)).unwrap();

        block_on(async {
            let (release, wait) = oneshot();
            let mut handle = pool.spawn(|| wait);
            assert!(matches!(race(&mut handle, yield_now()).await, Either::Right(())));
            assert!(timeout(ms(1), &mut handle).await.is_err());
            release.send(7).unwrap();
            assert_eq!(handle.await.unwrap(), Ok(7));
        });
    });
}

/// Only the newest waker of a handle is woken; and after its answer it gives no second one.
#[test]
fn a_handle_answers_once() {
    within(LIMIT, || {
        let pool = Pool::new(1).unwrap();
        let (release, wait) = mpsc::channel::<()>();
        let mut handle = pin!(pool.spawn(move || async move {
            {
                let _ = wait.recv();
            }
        }));
        let [(older, first), (newer, second)] = [Bell::new(), Bell::new()];
        for waker in [&first, &second] {
            assert!(handle.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        drop(release);
        block_on(pool.spawn(yield_now)).unwrap();
        assert_eq!((older.rung(), newer.rung()), (0, 1));
        handle.as_mut().poll(&mut Context::from_waker(&second)).now().unwrap();
        let again = caught(|| handle.as_mut().poll(&mut Context::from_waker(&second)).is_ready());
        assert!(again.is_err());
    });
}

// ── Invariant 4: nothing stays ──

/// A thousand tasks wait, with a child each. The pool is dropped: so are they, each on its own thread, and
/// each handle gets its answer.
#[test]
fn a_pool_that_is_dropped_drops_its_tasks_where_they_are() {
    on_both(LIMIT, |backend| {
        let pool = pool_by(backend, 4);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |seen: &Arc<Mutex<Vec<_>>>| {
            let (made, seen) = (thread::current().id(), seen.clone());
            on_drop(move || seen.lock().unwrap().push((made, thread::current().id())))
        };
        let handles = (0..1000).map(|_| {
            let seen = seen.clone();
            pool.spawn(move || async move {
                let (here, there) = (note(&seen), note(&seen));
                drop(spawn(hold(there)));
                hold(here).await
            })
        });
        let handles = handles.collect::<Vec<_>>();
        // Two tasks later, all of those have begun to wait.
        for n in (0..4).chain(0..4) {
            block_on(pool.spawn_on(n, yield_now)).unwrap();
        }
        assert_eq!(seen.lock().unwrap().len(), 0);
        drop(pool);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 2000);
        assert!(seen.iter().all(|(made, dropped)| made == dropped));
        assert_eq!(tally(&seen.iter().map(|(_, dropped)| *dropped).collect::<Vec<_>>()), [500; 4]);
        for handle in handles {
            assert!(Waiting::new(handle).poll().now().unwrap_err().is_cancelled());
        }
    });
}

/// A worker is busy, and more than a thousand tasks wait to begin when the pool is dropped. It waits for
/// the worker. None of them begins, all handles get an answer, and no closure is left.
#[test]
fn tasks_that_have_not_begun_are_answered_too() {
    within(LIMIT, || {
        let (pool, closures) = (Pool::new(2).unwrap(), Drops::default());
        let (release, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let busy = pool.spawn_on(0, move || async move {
            tell.send(()).unwrap();
            let _ = wait.recv();
        });
        told.recv().unwrap();
        let begun = Arc::new(AtomicU32::new(0));
        let handles = (0..1500).map(|_| {
            let (token, begun) = (closures.token(), begun.clone());
            pool.spawn_on(0, move || {
                begun.fetch_add(1, Ordering::Relaxed);
                hold(token)
            })
        });
        let handles = handles.collect::<Vec<_>>();
        // The other worker hears of the end after this one.
        let (leave, ended) = mpsc::channel::<()>();
        drop(pool.spawn_on(1, move || hold(leave)));
        let gone = Arc::new(AtomicBool::new(false));
        let say = gone.clone();
        let dropping = thread::spawn(move || {
            drop(pool);
            say.store(true, Ordering::Relaxed);
        });
        ended.recv().unwrap_err();
        assert!(!gone.load(Ordering::Relaxed), "a task is still being polled");
        drop(release);
        dropping.join().unwrap();
        assert_eq!((begun.load(Ordering::Relaxed), closures.count()), (0, 1500));
        // This one was over in the poll in which it could have heard of the end.
        assert!(block_on(busy).is_ok());
        for handle in handles {
            assert!(Waiting::new(handle).poll().now().unwrap_err().is_cancelled());
        }
    });
}

/// All workers hear of the end before any of them is waited for: a task of the first one may wait, as it is
/// dropped, for one of the second.
#[test]
fn all_workers_hear_of_the_end_at_once() {
    within(LIMIT, || {
        let pool = Pool::new(2).unwrap();
        let (leave, gone) = mpsc::channel::<()>();
        let wait = move || assert!(gone.recv().is_err());
        drop(pool.spawn_on(0, move || hold(on_drop(wait))));
        drop(pool.spawn_on(1, move || hold(leave)));
        block_on(pool.spawn_on(0, yield_now)).unwrap();
        block_on(pool.spawn_on(1, yield_now)).unwrap();
        drop(pool);
    });
}

/// The last owner of a pool is one of its tasks. It does not wait for itself, but for all others; and then
/// it goes on to its next await.
#[test]
fn a_pool_may_be_dropped_in_its_own_task() {
    on_both(LIMIT, |backend| {
        for waits in [false, true] {
            let (pool, drops) = (Arc::new(pool_by(backend, 2)), Drops::default());
            let token = drops.token();
            let other = pool.spawn_on(1, move || hold(token));
            let (give, given) = mpsc::channel::<Arc<Pool>>();
            let counted = drops.clone();
            let last = pool.spawn_on(0, move || async move {
                drop(retry(given.recv().unwrap(), Arc::try_unwrap));
                let gone = counted.count();
                if waits {
                    pending::<()>().await;
                }
                gone
            });
            give.send(pool).unwrap();
            let outcome = block_on(last);
            match waits {
                true => assert!(outcome.unwrap_err().is_cancelled()),
                false => assert_eq!(outcome.unwrap(), 1, "the other worker has ended"),
            }
            assert!(block_on(other).unwrap_err().is_cancelled());
        }
    });
}

/// A pool in a task of another pool, which is dropped with that task; and one that is dropped by a panic.
#[test]
fn a_pool_ends_with_whoever_owns_it() {
    within(LIMIT, || {
        quietly();
        let (outer, drops) = (Pool::new(1).unwrap(), Drops::default());
        let token = drops.token();
        let owner = outer.spawn(move || async move {
            let inner = Pool::new(2).unwrap();
            inner.spawn(move || hold(token)).await.unwrap();
        });
        block_on(outer.spawn(yield_now)).unwrap();
        owner.abort();
        assert!(block_on(owner).unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);

        let token = drops.token();
        let panicked = caught(move || {
            let pool = Pool::new(1).unwrap();
            drop(pool.spawn(move || hold(token)));
            panic!("and the pool is dropped");
        });
        assert!(panicked.is_err());
        assert_eq!(drops.count(), 2);
    });
}

/// What a task spawns as it is dropped, at the end of its pool, is dropped as well.
#[test]
fn what_is_spawned_by_a_drop_at_the_end_is_dropped() {
    within(LIMIT, || {
        let (pool, drops) = (Pool::new(1).unwrap(), Drops::default());
        let token = drops.token();
        let handle = pool.spawn(move || hold(on_drop(move || drop(spawn(hold(token))))));
        block_on(pool.spawn(yield_now)).unwrap();
        drop(pool);
        assert_eq!(drops.count(), 1);
        assert!(block_on(handle).unwrap_err().is_cancelled());
    });
}

/// After pools, tasks and panics, the process has as many threads and as many descriptors as before.
#[test]
#[cfg(target_os = "linux")]
fn threads_and_descriptors_are_back_where_they_were() {
    in_a_process("threads_and_descriptors_are_back_where_they_were", LIMIT, None, || {
        quietly();
        // This thread has a reactor, too.
        block_on(async {});
        let before = threads_and_descriptors();
        for round in 0..30 {
            let pool = Pool::new(1 + round % 4).unwrap();
            for _ in 0..10 {
                drop(pool.spawn(|| sleep(Duration::from_secs(1000))));
                drop(pool.spawn(|| async { panic!("in a task") }));
            }
            block_on(pool.spawn(|| async { spawn(async {}).await })).unwrap().unwrap();
        }
        // A thread that was joined may be in the list a little longer.
        settles(|| threads_and_descriptors() == before);
    });
}

/// A hundred thousand tasks leave the memory of a pool as it was after the first thousands.
#[test]
fn a_hundred_thousand_tasks_leave_the_memory_where_it_was() {
    within(LIMIT * 2, || {
        let pool = Pool::new(1).unwrap();
        let run = || {
            for _ in 0..50 {
                let handles = (0..1000).map(|n| pool.spawn(move || async move { n }));
                for handle in handles.collect::<Vec<_>>() {
                    ch04_park::block_on(handle).unwrap();
                }
            }
            // What one thread allocates the other frees, so it is the sum that stays.
            let there = ch04_park::block_on(pool.spawn(|| async { allocated_bytes() })).unwrap();
            allocated_bytes() + there
        };
        let before = run();
        let grown = run() - before;
        assert!(grown.abs() < 4000, "{grown} bytes");
    });
}

/// One of the workers gets no descriptor: the error says so, nothing panics, and the others are gone.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_without_a_reactor_is_an_error() {
    in_a_process("a_worker_without_a_reactor_is_an_error", LIMIT, None, || {
        let panics = count_panics();
        let before = threads_and_descriptors();
        // A reactor takes two descriptors, and there are so many.
        for left in 0..=8 {
            limit(libc::RLIMIT_NOFILE as _, 64);
            let open = || std::fs::File::open("/dev/null").ok();
            let mut taken = std::iter::from_fn(open).collect::<Vec<_>>();
            taken.truncate(taken.len() - left);
            let result = Pool::new(4).map(drop);
            limit(libc::RLIMIT_NOFILE as _, 1000);
            drop(taken);
            match result {
                Ok(()) => assert_eq!(left, 8),
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE)),
            }
            // Who was there has been waited for, and took its reactor along.
            assert_eq!(threads_and_descriptors().1, before.1);
            settles(|| threads_and_descriptors() == before);
        }
        assert_eq!(panics.load(Ordering::Relaxed), 0);
        Pool::new(4).unwrap();
    });
}

/// A backend that does not exist: the error is the one of the reactor.
#[test]
fn a_reactor_that_does_not_exist_is_an_error() {
    in_a_process(
        "a_reactor_that_does_not_exist_is_an_error",
        LIMIT,
        Some("carrier pigeon"),
        || {
            let panics = count_panics();
            let error = Pool::new(2).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("carrier pigeon"), "{error}");
            assert_eq!(panics.load(Ordering::Relaxed), 0);
        },
    );
}

/// There is no memory for the stacks of all workers: an error, and those that ran are gone.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_without_a_thread_is_an_error() {
    in_a_process("a_worker_without_a_thread_is_an_error", LIMIT, None, || {
        let panics = count_panics();
        let before = threads_and_descriptors();
        let used = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages = used.split(' ').next().unwrap().parse::<u64>().unwrap();
        limit(libc::RLIMIT_AS as _, pages * 4096 + (64 << 20));
        let result = Pool::new(1000).map(|_| ());
        limit(libc::RLIMIT_AS as _, libc::RLIM_INFINITY);
        let errno = result.unwrap_err().raw_os_error();
        assert!([Some(libc::EAGAIN), Some(libc::ENOMEM)].contains(&errno), "{errno:?}");
        settles(|| threads_and_descriptors() == before);
        assert_eq!(panics.load(Ordering::Relaxed), 0);
        Pool::new(4).unwrap();
    });
}

// ── What the tests are made of ──

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs `f` twice, `within` the limit; it is told how its workers are to ask the kernel.
fn on_both(limit: Duration, f: fn(&'static str)) {
    for backend in ["poll", "select"] {
        within(limit, move || f(backend));
    }
}

/// A pool whose workers ask the kernel by the call of this name.
fn pool_by(backend: &'static str, threads: usize) -> Pool {
    let pool = Pool::new(threads).unwrap();
    for n in 0..threads {
        let ask = pool.spawn_on(n, move || async move { ask_by(by(backend)).map(drop) });
        block_on(ask).unwrap().unwrap();
    }
    pool
}

/// This test's ledger, in which from now on the workers write, too.
fn attached(pool: &Pool) -> support::Ledger {
    for n in 0..pool.threads() {
        let ledger = ledger();
        block_on(pool.spawn_on(n, move || async move { ledger.attach() })).unwrap();
    }
    ledger()
}

/// How often each thread is in `threads`, in any order.
fn tally(threads: &[ThreadId]) -> Vec<usize> {
    let mut counts = HashMap::new();
    threads.iter().for_each(|thread| *counts.entry(thread).or_default() += 1);
    counts.into_values().collect()
}

/// Sends back what it reads.
async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..count]).await.unwrap();
    }
}

async fn for_ever() {
    loop {
        yield_now().await;
    }
}

/// Never ready, and owns something.
async fn hold<T>(owned: T) {
    pending::<()>().await;
    drop(owned);
}

/// Woken by eight threads, ready when it has seen all that they have done.
async fn eight_threads() {
    let each = 10_000;
    let (done, start) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(8)));
    let mut started = false;
    poll_fn(|cx| {
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
}

/// A thread that wakes whoever asks it to.
#[derive(Clone)]
struct Waking(mpsc::Sender<(Arc<AtomicBool>, Waker)>);

impl Waking {
    fn new() -> Self {
        let (wake, wakes) = mpsc::channel::<(Arc<AtomicBool>, Waker)>();
        thread::spawn(move || {
            for (done, waker) in wakes {
                done.store(true, Ordering::Relaxed);
                waker.wake();
            }
        });
        Waking(wake)
    }

    /// Pending until that thread has woken it.
    async fn elsewhere(&self) {
        let (done, mut asked) = (Arc::new(AtomicBool::new(false)), false);
        poll_fn(|cx| {
            if !std::mem::replace(&mut asked, true) {
                self.0.send((done.clone(), cx.waker().clone())).unwrap();
                return Poll::Pending;
            }
            if done.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }
}

/// How often a future was woken on the thread that polls it, and how often on others.
#[derive(Default)]
struct Wakes {
    here: AtomicU32,
    elsewhere: AtomicU32,
}

/// Runs `future`, and counts its wakes.
async fn counted<F: Future>(wakes: Arc<Wakes>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let (wakes, home, above) = (wakes.clone(), thread::current().id(), cx.waker().clone());
        let waker = Waker::from(Arc::new(Counting { wakes, home, above }));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// Counts a wake, and passes it on.
struct Counting {
    wakes: Arc<Wakes>,
    home: ThreadId,
    above: Waker,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        let is_home = thread::current().id() == self.home;
        let count = if is_home { &self.wakes.here } else { &self.wakes.elsewhere };
        count.fetch_add(1, Ordering::Relaxed);
        self.above.wake_by_ref();
    }
}

/// Asks `f` until it gives something.
fn retry<T, R>(mut value: T, f: fn(T) -> Result<R, T>) -> R {
    loop {
        match f(value) {
            Ok(found) => return found,
            Err(back) => value = back,
        }
        thread::yield_now();
    }
}

/// Waits until `holds` does: what the system does in its own time has a second for it.
#[track_caller]
#[cfg(target_os = "linux")]
fn settles(holds: impl Fn() -> bool) {
    let patience = support::scaled(Duration::from_secs(1)).as_millis();
    let settled = (0..patience).any(|_| {
        let holds = holds();
        if !holds {
            thread::sleep(ms(1));
        }
        holds
    });
    assert!(settled, "it stays as it is");
}

/// The threads of this process, and its descriptors.
#[cfg(target_os = "linux")]
fn threads_and_descriptors() -> (usize, Vec<u64>) {
    // Reading a folder takes a descriptor, which is in the list.
    let names = |folder: &str| {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut descriptors =
        names("/proc/self/fd").iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    descriptors.sort();
    (names("/proc/self/task").len(), descriptors)
}

/// Sets the limit of a resource of this process.
#[cfg(target_os = "linux")]
fn limit(resource: u32, value: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours, and written to during the call.
    assert_eq!(unsafe { libc::getrlimit(resource as _, &mut limit) }, 0);
    limit.rlim_cur = value.min(limit.rlim_max);
    // SAFETY: `limit` is ours, and only read.
    assert_eq!(unsafe { libc::setrlimit(resource as _, &limit) }, 0);
}

/// Counts the panics of this process from now on.
fn count_panics() -> Arc<AtomicU32> {
    let panics = Arc::new(AtomicU32::new(0));
    let count = panics.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        count.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
    panics
}

/// Panics of workers are part of the story, and say nothing.
fn quietly() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let told = info.payload().downcast_ref::<&str>().copied().unwrap_or_default();
            let ours = ["in the closure", "in a poll", "in a drop", "an output", "in a task"];
            if !ours.contains(&told) && !told.starts_with("and the pool") {
                before(info);
            }
        }));
    });
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
