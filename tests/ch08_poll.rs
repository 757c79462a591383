//! Layer 8, invariant by invariant, on both backends: real pipes, sockets, threads and signals.

#![cfg(all(unix, not(miri)))] // poll(2) and select(2).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{join, join_all, join3, select};
use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, c_short, pollfd};

#[cfg(target_os = "linux")]
use support::clock::sleeps;
use support::reactors::{Liar, by};
use support::{
    Bell, Event, Ledger, cloning, in_a_process, interruptions, ledger, on_both, self_wakes, within,
};
use under_await::ch08_poll::Direction::{self, Read as ToRead, Write as ToWrite};
use under_await::ch08_poll::{Backend, ByPoll, BySelect, Registration, Root};
use under_await::ch08_poll::{ask_by, block_on, ready_to, wait};
use under_await::sys::{self, Faults};
use under_await::{waker_fn, yield_now};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(10);

// ── Invariant 1: interest while somebody waits ──

/// An unread byte and a writable socket, for which somebody waited once and nobody waits now.
/// Measured in a process of its own, so that other tests do not add to it.
#[test]
fn readiness_that_nobody_waits_for_costs_nothing() {
    let name = "readiness_that_nobody_waits_for_costs_nothing";
    for backend in ["poll", "select"] {
        in_a_process(name, LIMIT, Some(backend), || {
            let (reader, writer) = pipe();
            let (socket, _peer) = UnixStream::pair().unwrap();
            put(&writer, b"!");
            let (read, write) = (register(&reader), register(&socket));
            let bells = [leave(&read, ToRead), leave(&write, ToWrite)];
            wait(None, || false).unwrap();
            assert_eq!(rung(&bells), [1, 1]);

            let before = sys::cpu_time().expect("this system says");
            let end = Instant::now() + Duration::from_secs(1);
            let mut waits = 0;
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                wait(Some(left), || false).unwrap();
                waits += 1;
            }
            let busy = sys::cpu_time().unwrap() - before;
            assert!(waits <= 5, "{waits} waits in a second");
            assert!(busy <= Duration::from_millis(10), "{busy:?} of CPU time in a second");
            assert_eq!(rung(&bells), [0, 0]);
        });
    }
}

/// A peer that has hung up is reported without being asked for: not where nobody waits.
#[test]
fn a_hang_up_that_nobody_waits_for_ends_no_sleep() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        // Its row has been in use: it must have been taken out of the kernel's sight.
        leave(&registration, ToRead);
        put(&writer, b"!");
        wait(None, || false).unwrap();
        drain(&reader);
        drop(writer);
        let (start, time) = (Instant::now(), Duration::from_millis(30));
        wait(Some(time), || false).unwrap();
        assert!(start.elapsed() >= time, "{:?}", start.elapsed());
        drop(registration);
    });
}

/// Who was woken has to wait again to be woken again.
#[test]
fn one_wait_is_one_wake() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        put(&writer, b"!");
        for _ in 0..3 {
            let bell = leave(&registration, ToRead);
            look();
            assert_eq!(bell.rung(), 1);
            look();
            assert_eq!(bell.rung(), 0);
        }
    });
}

/// However often a leaf is polled, it has one row, and the pipe that ends a sleep has one.
#[test]
fn a_leaf_that_is_polled_ten_thousand_times_has_one_registration() {
    on_both(LIMIT, |backend| {
        let sizes = Rc::new(RefCell::new(Vec::new()));
        ask_by(Sizes::new(by(backend), &sizes)).unwrap();
        let (reader, writer) = pipe();
        let mut leaf = pin!(ready_to(ToRead, &reader));
        for _ in 0..10_000 {
            assert!(leaf.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        look();
        put(&writer, b"!");
        block_on(leaf).unwrap();
        // And a thousand registrations, one after the other, have the rows of the first.
        for _ in 0..1000 {
            block_on(ready_to(ToRead, &reader)).unwrap();
        }
        assert!(sizes.borrow().iter().all(|size| *size == 2), "{:?}", sizes.borrow());
    });
}

// ── Invariant 2: the newest, and two for each descriptor ──

/// One socket, both directions pending, each woken for its own reason.
#[test]
fn both_directions_wait_and_both_are_woken() {
    on_both(LIMIT, |_| {
        let (socket, peer) = full_socket();
        let registration = register(&socket);
        let bells = [leave(&registration, ToRead), leave(&registration, ToWrite)];
        look();
        assert_eq!(rung(&bells), [0, 0], "nothing to read, no room to write");
        put(&peer, b"!");
        wait(None, || false).unwrap();
        assert_eq!(rung(&bells), [1, 0], "something to read, no room to write");
        drain(&peer);
        wait(None, || false).unwrap();
        assert_eq!(rung(&bells), [0, 1], "room to write");
    });
}

/// The same by two futures in one task.
#[test]
fn a_reader_and_a_writer_of_one_socket_do_not_push_each_other_out() {
    on_both(LIMIT, |_| {
        let (socket, peer) = full_socket();
        let peer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            put(&peer, b"!");
            thread::sleep(Duration::from_millis(10));
            drain(&peer);
            peer
        });
        let both = join(ready_to(ToRead, &socket), ready_to(ToWrite, &socket));
        let (read, write) = block_on(both);
        read.and(write).unwrap();
        drop(peer.join().unwrap());
    });
}

/// The waker that was left last is woken, and no other.
#[test]
fn the_newest_waker_wins() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        let bells = [(); 3].map(|()| leave(&registration, ToRead));
        put(&writer, b"!");
        wait(None, || false).unwrap();
        assert_eq!(rung(&bells), [0, 0, 1]);
    });
}

/// A leaf that was polled in one task and moved into another wakes the other.
#[test]
fn a_leaf_that_has_moved_wakes_where_it_is() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let mut leaf = Box::pin(ready_to(ToRead, &reader));
        let (bell, waker) = Bell::new();
        assert!(leaf.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            put(&writer, b"!");
            writer
        });
        block_on(leaf).unwrap();
        assert_eq!(bell.rung(), 0);
        drop(writer.join().unwrap());
    });
}

/// A poll for another's reasons does not make a leaf ready.
#[test]
fn a_leaf_is_ready_only_when_it_has_fired() {
    on_both(LIMIT, |_| {
        let (reader, _writer) = pipe();
        block_on(select(pin!(ready_to(ToRead, &reader)), pin!(self_wakes(100))));
        block_on(async {
            let mut leaf = pin!(ready_to(ToRead, &reader));
            for _ in 0..100 {
                assert!(is_pending(leaf.as_mut()).await);
                yield_now().await;
            }
        });
    });
}

/// Two are ready at the same time, and the waker of the first panics.
#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    on_both(LIMIT, |_| {
        let pipes = [pipe(), pipe()];
        let rows = [register(&pipes[0].0), register(&pipes[1].0)];
        let broken = waker_fn(|| panic!("in a waker"));
        rows[0].wait_for(ToRead, &mut Context::from_waker(&broken)).unwrap();
        let bell = leave(&rows[1], ToRead);
        pipes.iter().for_each(|(_, writer)| put(writer, b"!"));
        wait(None, || false).unwrap();
        assert_eq!(bell.rung(), 1);
    });
}

// ── Invariant 3: no stray wake ──

/// The number goes to another descriptor at once; whoever had it hears nothing of that one. In a process
/// of its own, where nobody else takes the number.
#[test]
fn a_number_that_is_given_away_again_wakes_nobody_who_had_it() {
    for backend in ["poll", "select"] {
        in_a_process(
            "a_number_that_is_given_away_again_wakes_nobody_who_had_it",
            LIMIT,
            Some(backend),
            || {
                let (reader, _writer) = pipe();
                let number = reader.as_raw_fd();
                let registration = register(&reader);
                let old = leave(&registration, ToRead);
                let (other, writer) = pipe();
                drop(registration);
                drop(reader);

                // Nobody waits for the new one.
                let reader = at_number(number, &other);
                put(&writer, b"!");
                look();
                assert_eq!(old.rung(), 0);

                // Somebody does.
                let registration = register(&reader);
                let new = leave(&registration, ToRead);
                wait(None, || false).unwrap();
                assert_eq!((old.rung(), new.rung()), (0, 1));
            },
        );
    }
}

/// What was waited for and then closed ends no sleep, and breaks none.
#[test]
fn a_registration_that_was_dropped_leaves_nothing_behind() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        leave(&registration, ToRead);
        put(&writer, b"!");
        drop((registration, reader));
        let (start, time) = (Instant::now(), Duration::from_millis(30));
        wait(Some(time), || false).unwrap();
        assert!(start.elapsed() >= time, "{:?}", start.elapsed());
    });
}

/// The row *and* the number are given away again between the report and the wakes that
/// follow from it. The report has become wakers by then: it wakes the one who waited when it was
/// made, and not the one who has the row now. So a key needs no generation. In a process of its own, as
/// above.
#[test]
fn a_row_that_is_given_away_during_the_wakes_wakes_nobody_new() {
    thread_local! {
        static PLACE: RefCell<Option<(Registration, OwnedFd)>> = const { RefCell::new(None) };
        static NEW: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
    }
    for backend in ["poll", "select"] {
        in_a_process(
            "a_row_that_is_given_away_during_the_wakes_wakes_nobody_new",
            LIMIT,
            Some(backend),
            || {
                let (first, second) = (pipe(), pipe());
                let number = second.0.as_raw_fd();
                let empty = pipe();
                // Whichever of the two is woken first gives the second one's row away.
                let swap = waker_fn({
                    let empty = empty.0.try_clone().unwrap();
                    move || {
                        let Some((old, fd)) = PLACE.take() else { return };
                        drop(old);
                        drop(fd);
                        let fd = at_number(number, &empty);
                        let registration = register(&fd);
                        NEW.set(Some(leave(&registration, ToRead)));
                        PLACE.set(Some((registration, fd)));
                    }
                });
                let registrations = (register(&first.0), register(&second.0));
                registrations.0.wait_for(ToRead, &mut Context::from_waker(&swap)).unwrap();
                registrations.1.wait_for(ToRead, &mut Context::from_waker(&swap)).unwrap();
                PLACE.set(Some((registrations.1, second.0.into())));
                put(&first.1, b"!");
                put(&second.1, b"!");
                look();
                let new = NEW.take().expect("one of the two was woken");
                assert_eq!(new.rung(), 0, "a report about the old one");
                look();
                assert_eq!(new.rung(), 0, "nothing has come");
                put(&empty.1, b"!");
                look();
                assert_eq!(new.rung(), 1, "something has come");
                drop(PLACE.take());
            },
        );
    }
}

/// A registration may go between its report and its wake, and the reactor does not stumble.
#[test]
fn a_registration_may_be_dropped_by_another_ones_wake() {
    thread_local! {
        static OTHERS: RefCell<Vec<Registration>> = const { RefCell::new(Vec::new()) };
    }
    on_both(LIMIT, |_| {
        let pipes = [(); 10].map(|()| pipe());
        let drop_all = waker_fn(|| drop(OTHERS.take()));
        for (reader, writer) in &pipes {
            let registration = register(reader);
            registration.wait_for(ToRead, &mut Context::from_waker(&drop_all)).unwrap();
            OTHERS.with_borrow_mut(|others| others.push(registration));
            put(writer, b"!");
        }
        look();
        assert!(OTHERS.with_borrow(Vec::is_empty));
        assert!(block_on(ready_to(ToRead, &pipes[0].0)).is_ok());
    });
}

/// Rows are given away again, so a thousand lives need no thousand rows, in any order of drops.
#[test]
fn rows_come_and_go_in_any_order() {
    on_both(LIMIT, |backend| {
        let sizes = Rc::new(RefCell::new(Vec::new()));
        ask_by(Sizes::new(by(backend), &sizes)).unwrap();
        let pipes = [(); 8].map(|()| pipe());
        let mut alive = Vec::new();
        let mut chance = 12345_u32;
        for _ in 0..2000 {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pick = (chance >> 16) as usize;
            if alive.len() < 8 && pick.is_multiple_of(2) {
                let (reader, writer) = &pipes[pick / 2 % 8];
                let registration = register(reader);
                let bell = leave(&registration, ToRead);
                alive.push((registration, bell, reader, writer));
            } else if !alive.is_empty() {
                let (registration, bell, reader, writer) =
                    alive.swap_remove(pick / 2 % alive.len());
                put(writer, b"!");
                look();
                assert_eq!(bell.rung(), 1, "each that waits there is woken");
                drain(reader);
                drop(registration);
                // Others that waited for the same pipe were woken as well: they wait again.
                for (registration, bell, ..) in &mut alive {
                    bell.rung();
                    *bell = leave(registration, ToRead);
                }
            }
        }
        let most = sizes.borrow().iter().copied().max();
        assert!(most <= Some(1 + 8), "{most:?} rows for 8 registrations and the pipe");
    });
}

// ── Invariant 4: released, then woken ──

/// A waker registers, waits, drops, and even sleeps, all inside `wake`.
#[test]
fn a_waker_may_use_the_reactor() {
    thread_local! {
        static KEPT: RefCell<Vec<Registration>> = const { RefCell::new(Vec::new()) };
        static WOKEN: Cell<u32> = const { Cell::new(0) };
    }
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let busy = waker_fn({
            let reader = reader.try_clone().unwrap();
            move || {
                let old = KEPT.take();
                let new = register(&reader);
                leave(&new, ToRead);
                look();
                block_on(self_wakes(2));
                KEPT.set(vec![new, register(&reader)]);
                drop(old);
                WOKEN.set(WOKEN.get() + 1);
            }
        });
        let registration = register(&reader);
        put(&writer, b"!");
        for round in 1..=3 {
            registration.wait_for(ToRead, &mut Context::from_waker(&busy)).unwrap();
            look();
            assert_eq!(WOKEN.get(), round);
        }
        drop(KEPT.take());
    });
}

/// The waker that is replaced, and the one that goes with its registration, may be the last
/// owner of something that uses the reactor when it is dropped.
#[test]
fn a_dropped_waker_may_use_the_reactor() {
    thread_local! {
        static KEPT: RefCell<Vec<Registration>> = const { RefCell::new(Vec::new()) };
    }
    struct DropsOne;
    impl Drop for DropsOne {
        fn drop(&mut self) {
            drop(KEPT.with_borrow_mut(Vec::pop));
            look();
        }
    }
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        KEPT.set((0..3).map(|_| register(&reader)).collect());
        let waker = || {
            let last = Arc::new(DropsOne);
            waker_fn(move || assert!(Arc::strong_count(&last) > 0))
        };
        let registration = register(&reader);
        let leave = || registration.wait_for(ToRead, &mut Context::from_waker(&waker())).unwrap();
        assert!(!leave());
        assert!(leave(), "it replaces the first");
        assert_eq!(KEPT.with_borrow(Vec::len), 2);
        put(&writer, b"!");
        look();
        assert_eq!(KEPT.with_borrow(Vec::len), 1, "woken, and dropped");
        leave();
        drop(registration);
        assert_eq!(KEPT.with_borrow(Vec::len), 0, "dropped with its registration");
    });
}

/// To clone a waker may run anybody's code as well.
#[test]
fn a_waker_that_is_cloned_may_use_the_reactor() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        let (shared, waker) = cloning(look);
        registration.wait_for(ToRead, &mut Context::from_waker(&waker)).unwrap();
        put(&writer, b"!");
        look();
        assert_eq!(shared.wakes(), 1);
    });
}

// ── Invariant 5: a wake ends the sleep, and costs a call only if there is a sleep ──

/// A wake from another thread ends the sleep: one write, one read, two looks.
#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    on_both(LIMIT, |backend| {
        let root = Root::new().unwrap();
        let waker = Waker::from(root.clone());
        let ledger = Ledger::open();
        let waker = in_a_thread(move || {
            thread::sleep(Duration::from_millis(30));
            for _ in 0..1000 {
                waker.wake_by_ref();
            }
        });
        while !root.is_woken() {
            wait(None, || root.is_woken()).unwrap();
        }
        waker.join().unwrap();
        assert_eq!(ledger.count(Event::Call("write")), 1, "however many the wakes");
        assert_eq!(ledger.count(Event::Call("read")), 1);
        assert_eq!(ledger.count(Event::Call(backend)), 1);
        assert!(root.take_wake() && !root.take_wake());
    });
}

/// One byte ends a sleep, whoever else wakes during it; and who was woken already is not told again.
#[test]
fn a_sleep_is_ended_by_one_byte() {
    on_both(LIMIT, |backend| {
        let roots = [(); 3].map(|()| Root::new().unwrap());
        let wakers = roots.clone().map(Waker::from);
        let ledger = Ledger::open();
        let waker = in_a_thread(move || {
            thread::sleep(Duration::from_millis(30));
            wakers.iter().for_each(Waker::wake_by_ref);
        });
        while !roots.iter().all(|root| root.is_woken()) {
            wait(Some(LIMIT), || roots.iter().all(|root| root.is_woken())).unwrap();
        }
        waker.join().unwrap();
        let writes = ledger.count(Event::Call("write"));
        assert!(writes <= ledger.count(Event::Call(backend)), "{writes} bytes");
        wait(Some(Duration::ZERO), || false).unwrap();

        let ledger = Ledger::open();
        wait(Some(LIMIT), || {
            Waker::from(roots[0].clone()).wake();
            roots[0].is_woken()
        })
        .unwrap();
        assert_eq!(calls(&ledger), [backend], "it was woken, and looks");
    });
}

/// A thread that is awake looks at its flag anyway: a wake writes nothing into its pipe.
#[test]
fn a_wake_of_a_thread_that_is_awake_makes_no_call() {
    on_both(LIMIT, |backend| {
        let root = Root::new().unwrap();
        let waker = Waker::from(root.clone());
        let ledger = Ledger::open();
        for _ in 0..100 {
            let waker = waker.clone();
            in_a_thread(move || waker.wake()).join().unwrap();
            let start = Instant::now();
            wait(Some(LIMIT), || root.is_woken()).unwrap();
            assert!(start.elapsed() < LIMIT / 2, "it slept though it was woken before");
            assert!(root.take_wake());
        }
        assert_eq!(calls(&ledger), vec![backend; 100], "a look each, and no write");
    });
}

/// Two threads, one ball: each wake is answered by a poll before the next is sent, so a single lost
/// wake ends the game. The pauses make some wakes come before the sleep and some during it.
#[test]
fn of_a_million_wakes_none_is_lost() {
    within(12 * LIMIT, || ping_pong("poll", 1_000_000));
}

#[test]
fn of_a_hundred_thousand_wakes_none_is_lost_by_select() {
    within(6 * LIMIT, || ping_pong("select", 100_000));
}

fn ping_pong(backend: &'static str, rounds: u32) {
    ask_by(by(backend)).unwrap();
    Ledger::close(); // A million lines would be counted under a lock.
    let (sent, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (give, take) = mpsc::channel::<Waker>();
    let sender = thread::spawn({
        let (sent, seen) = (sent.clone(), seen.clone());
        move || {
            let waker = take.recv().unwrap();
            for round in 1..=rounds {
                sent.store(round, Ordering::Release);
                waker.wake_by_ref();
                while !spin(200, || seen.load(Ordering::Acquire) == round) {
                    thread::yield_now();
                }
            }
        }
    });
    let mut polls = 0;
    block_on(poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            give.send(cx.waker().clone()).unwrap();
        }
        let round = sent.load(Ordering::Acquire);
        seen.store(round, Ordering::Release);
        if round == rounds {
            return Poll::Ready(());
        }
        spin(polls % 64, || sent.load(Ordering::Relaxed) > round);
        Poll::Pending
    }));
    sender.join().unwrap();
    assert!(polls <= rounds + 1, "{polls} polls, {rounds} wakes");
}

/// Woken after its `block_on`, after its reactor, after its thread.
#[test]
fn a_late_wake_does_no_harm() {
    on_both(LIMIT, |_| {
        let kept = kept_waker();
        kept.wake_by_ref();
        block_on(self_wakes(3));
        let stranger = thread::spawn(kept_waker).join().unwrap();
        stranger.wake_by_ref();
        let late = in_a_thread(move || {
            thread::sleep(Duration::from_millis(10));
            stranger.wake();
            kept.wake();
        });
        let (reader, writer) = pipe();
        let writer = in_a_thread(move || {
            thread::sleep(Duration::from_millis(30));
            put(&writer, b"!");
            writer
        });
        block_on(ready_to(ToRead, &reader)).unwrap();
        late.join().unwrap();
        drop(writer.join().unwrap());
    });
}

/// A thread that ends in its sleep still counts as asleep, so a late wake writes into its pipe. That
/// has a reader all the same: SIGPIPE would end a program that does not ignore it, as Rust's main does.
#[test]
fn a_wake_after_the_end_of_its_thread_is_no_signal() {
    struct Broken;
    impl Backend for Broken {
        fn wait(&mut self, _: &mut [pollfd], _: Option<Duration>) -> io::Result<Vec<usize>> {
            panic!("in its sleep")
        }
    }
    for backend in ["poll", "select"] {
        in_a_process(
            "a_wake_after_the_end_of_its_thread_is_no_signal",
            LIMIT,
            Some(backend),
            || {
                // SAFETY: the default action is no handler of ours.
                unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
                let sleeper = thread::spawn(|| {
                    let root = Root::new().unwrap();
                    ask_by(Box::new(Broken)).unwrap();
                    catch_unwind(|| wait(None, || false)).unwrap_err();
                    Waker::from(root)
                });
                sleeper.join().unwrap().wake();
                assert_eq!(ledger().count(Event::Call("write")), 1);
            },
        );
    }
}

/// A future that wakes itself is polled again, and costs one look at the kernel each time.
#[test]
fn a_future_that_wakes_itself_is_polled_again() {
    on_both(LIMIT, |backend| {
        let ledger = Ledger::open();
        block_on(async {
            for _ in 0..100 {
                yield_now().await;
            }
        });
        assert_eq!(calls(&ledger), vec![backend; 100]);
    });
}

/// A future that always wakes itself does not keep another from what the kernel says.
#[test]
fn a_future_that_wakes_itself_starves_nobody() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let writer = in_a_thread(move || {
            thread::sleep(Duration::from_millis(10));
            put(&writer, b"!");
            writer
        });
        let restless = async {
            loop {
                yield_now().await;
            }
        };
        let _ = block_on(select(pin!(ready_to(ToRead, &reader)), pin!(restless)));
        drop(writer.join().unwrap());
    });
}

/// One `block_on` inside another shares its reactor, and takes none of its wakes.
#[test]
fn nested_calls_keep_their_wakes_apart() {
    on_both(LIMIT, |_| {
        let (outer, inner) = (pipe(), pipe());
        let writers = in_a_thread(move || {
            thread::sleep(Duration::from_millis(10));
            put(&outer.1, b"!");
            thread::sleep(Duration::from_millis(10));
            put(&inner.1, b"!");
            (outer.1, inner.1)
        });
        block_on(async {
            let mut waiting = pin!(ready_to(ToRead, &outer.0));
            assert!(is_pending(waiting.as_mut()).await);
            block_on(ready_to(ToRead, &inner.0)).unwrap();
            waiting.await.unwrap();
        });
        drop(writers.join().unwrap());
    });
}

// ── What the kernel says ──

/// n things have happened: one call says so, and no other call is made.
#[test]
fn many_events_are_one_wait_and_no_other_call() {
    on_both(LIMIT, |backend| {
        for n in [1, 10, 200] {
            let pipes = (0..n).map(|_| pipe()).collect::<Vec<_>>();
            pipes.iter().for_each(|(_, writer)| put(writer, b"!"));
            let ledger = Ledger::open();
            let all = block_on(join_all(pipes.iter().map(|(reader, _)| ready_to(ToRead, reader))));
            assert!(all.iter().all(Result::is_ok));
            assert_eq!(calls(&ledger), [backend], "{n} events");
        }
    });
}

/// The end of a stream is something to read.
#[test]
fn the_end_of_a_pipe_wakes_its_reader() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        let bell = leave(&registration, ToRead);
        drop(writer);
        wait(None, || false).unwrap();
        assert_eq!(bell.rung(), 1);
        assert_eq!((&reader).read(&mut [0; 8]).unwrap(), 0);
    });
}

/// A pipe that nobody reads any more is an error, which the write is to say.
#[test]
fn the_end_of_the_reader_wakes_the_writer() {
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        fill(&writer);
        let registration = register(&writer);
        let bell = leave(&registration, ToWrite);
        look();
        assert_eq!(bell.rung(), 0, "full");
        drop(reader);
        wait(None, || false).unwrap();
        assert_eq!(bell.rung(), 1);
        assert_eq!((&writer).write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// A hang-up and a reset wake whoever waits, in both directions.
#[test]
fn hang_ups_and_errors_wake_both_directions() {
    on_both(LIMIT, |_| {
        let (socket, peer) = full_socket();
        let registration = register(&socket);
        let bells = [leave(&registration, ToRead), leave(&registration, ToWrite)];
        look();
        assert_eq!(rung(&bells), [0, 0]);
        drop(peer);
        wait_until(&bells);
        drop(registration);

        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok((socket, peer)) = tcp(address) else { continue };
            fill(&socket);
            let registration = register(&socket);
            let bells = [leave(&registration, ToRead), leave(&registration, ToWrite)];
            // It has not read what we sent: its end is a reset.
            drop(peer);
            wait_until(&bells);
        }
    });
}

/// The kernel mostly says more than that. Each of these is enough by itself, for both directions.
#[test]
fn a_report_of_nothing_but_an_error_wakes_both_directions() {
    /// Says that of every row that is watched.
    struct Reports(c_short);
    impl Backend for Reports {
        fn wait(&mut self, table: &mut [pollfd], _: Option<Duration>) -> io::Result<Vec<usize>> {
            let rows = (1..table.len()).filter(|row| table[*row].fd != -1).collect::<Vec<_>>();
            rows.iter().for_each(|row| table[*row].revents = self.0);
            Ok(rows)
        }
    }
    within(LIMIT, || {
        let (socket, _peer) = full_socket();
        let registration = register(&socket);
        for (report, woken) in [
            (POLLERR, [1, 1]),
            (POLLHUP, [1, 1]),
            (POLLNVAL, [1, 1]),
            (POLLIN, [1, 0]),
            (POLLOUT, [0, 1]),
        ] {
            let bells = [leave(&registration, ToRead), leave(&registration, ToWrite)];
            ask_by(Box::new(Reports(report))).unwrap();
            look();
            assert_eq!(rung(&bells), woken, "{report}");
        }
    });
}

/// A descriptor that was closed too early: `poll` says so, and so does the call that is tried then.
#[test]
fn a_descriptor_that_is_no_more_wakes_both_directions() {
    within(LIMIT, || {
        ask_by(by("poll")).unwrap();
        let (socket, _peer) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        // High up, so that no other test gets this number meanwhile.
        // SAFETY: the descriptor is borrowed, and the new one is ours.
        let number = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 900) };
        assert!(number >= 900);
        // SAFETY: it is open, and nobody else owns it.
        let copy = unsafe { OwnedFd::from_raw_fd(number) };
        fill(&socket);
        let registration = register(&copy);
        let bells = [leave(&registration, ToRead), leave(&registration, ToWrite)];
        look();
        assert_eq!(rung(&bells), [0, 0]);
        drop(copy);
        wait(None, || false).unwrap();
        assert_eq!(rung(&bells), [1, 1]);
    });
}

/// A peer that writes no more may still read: its end wakes the reader, and we can still write.
#[test]
fn a_half_close_is_seen() {
    on_both(LIMIT, |_| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok((socket, peer)) = tcp(address) else { continue };
            let registration = register(&socket);
            let bell = leave(&registration, ToRead);
            look();
            assert_eq!(bell.rung(), 0);
            peer.shutdown(Shutdown::Write).unwrap();
            wait(None, || false).unwrap();
            assert_eq!(bell.rung(), 1);
            assert_eq!((&socket).read(&mut [0; 8]).unwrap(), 0);
            put(&socket, b"answer");
            let mut answer = [0; 6];
            peer.set_nonblocking(false).unwrap();
            (&peer).read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"answer");
        }
    });
}

/// A wait is not shorter than its timeout says, and is one call.
#[test]
fn a_wait_lasts_as_long_as_it_says() {
    on_both(LIMIT, |backend| {
        for micros in [1, 900, 1100, 30_000] {
            let (ledger, start) = (Ledger::open(), Instant::now());
            let time = Duration::from_micros(micros);
            wait(Some(time), || false).unwrap();
            assert!(start.elapsed() >= time, "{:?} of {time:?}", start.elapsed());
            assert_eq!(calls(&ledger), [backend]);
        }
    });
    assert_eq!(sys::millis(Some(Duration::MAX)), libc::c_int::MAX);
    assert_eq!(sys::millis(Some(Duration::ZERO)), 0);
    assert_eq!(sys::millis(None), -1);
}

/// A timeout of less than the call can say is a short sleep, and not a look: of thirty, the thread gives up
/// the processor in most.
#[test]
#[cfg(target_os = "linux")]
fn the_shortest_timeout_is_a_sleep() {
    on_both(LIMIT, |_| {
        let before = sleeps();
        (0..30).for_each(|_| wait(Some(Duration::from_nanos(1)), || false).unwrap());
        let slept = sleeps() - before;
        assert!(slept >= 15, "{slept} sleeps");
    });
}

/// A handler without `SA_RESTART` interrupts the sleep again and again. In a process of its own.
#[test]
fn signals_do_no_harm() {
    for backend in ["poll", "select"] {
        in_a_process("signals_do_no_harm", LIMIT, Some(backend), || {
            let (reader, writer) = pipe();
            let (stop, ledger) = (interruptions(u32::MAX), ledger());
            let writer = thread::spawn(move || {
                // The first call is the wait, and each of the others is one that a signal has ended.
                let calls = || ["poll", "select"].map(|name| ledger.count(Event::Call(name)));
                while calls().iter().sum::<u64>() < 6 {
                    thread::sleep(Duration::from_millis(3));
                }
                put(&writer, b"!");
                writer
            });
            block_on(ready_to(ToRead, &reader)).unwrap();
            stop();
            drop(writer.join().unwrap());
        });
    }
}

/// Where a bit set ends, `select` refuses and goes on with those it has; `poll` serves them all.
#[test]
fn eleven_hundred_descriptors_are_refused_by_select_and_served_by_poll() {
    let name = "eleven_hundred_descriptors_are_refused_by_select_and_served_by_poll";
    for backend in ["poll", "select"] {
        in_a_process(name, LIMIT, Some(backend), || {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is ours to be written.
            assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
            limit.rlim_cur = limit.rlim_max.min(2000);
            // SAFETY: `limit` is initialised.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);

            // The reactor's own pipe has low numbers.
            look();
            let (reader, writer) = pipe();
            let readers = (0..1100).map(|_| reader.try_clone().unwrap()).collect::<Vec<_>>();
            put(&writer, b"!");
            let results = block_on(join_all(readers.iter().map(|reader| ready_to(ToRead, reader))));
            let set = libc::FD_SETSIZE as RawFd;
            for (reader, result) in readers.iter().zip(results) {
                let refused = backend_of_process() == "select" && reader.as_raw_fd() >= set;
                assert_eq!(Registration::new(reader).is_err(), refused, "{reader:?}");
                match result {
                    Ok(()) => assert!(!refused, "{reader:?}"),
                    Err(error) => {
                        assert!(refused, "{reader:?}: {error}");
                        assert_eq!(error.kind(), ErrorKind::InvalidInput);
                    }
                }
            }
        });
    }
}

/// A descriptor that the backend refuses, because another one was there when it was registered, is an
/// error for the future that waits for it, and for no other.
#[test]
fn what_is_refused_is_not_in_the_table() {
    let name = "what_is_refused_is_not_in_the_table";
    in_a_process(name, LIMIT, Some("poll"), || {
        let (reader, _writer) = pipe();
        // SAFETY: the descriptor is open, and so is its duplicate, if there is one.
        let high = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_DUPFD, 1030) };
        assert!(high >= 1030, "the limit is high enough");
        // SAFETY: it is nobody else's.
        let high = unsafe { OwnedFd::from_raw_fd(high) };
        let registration = Registration::new(&high).unwrap();
        ask_by(Box::new(BySelect)).unwrap();
        let refused = registration.wait_for(ToRead, &mut Context::from_waker(Waker::noop()));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        let (other, writer) = pipe();
        put(&writer, b"!");
        block_on(ready_to(ToRead, &other)).unwrap();
    });
}

/// The same table, the same answer: whichever call is made, and be a descriptor in two rows.
#[test]
fn both_backends_say_the_same_of_a_table() {
    within(LIMIT, || {
        let sockets = (0..20).map(|n| if n % 2 == 0 { full_socket() } else { open_socket() });
        let sockets = sockets.collect::<Vec<_>>();
        sockets.iter().skip(1).step_by(3).for_each(|(_, peer)| put(peer, b"!"));
        let mut table = Vec::new();
        for (n, (socket, _)) in sockets.iter().enumerate() {
            for events in [POLLIN, POLLOUT, POLLIN | POLLOUT, 0] {
                let fd = if events == 0 || n == 7 { -1 } else { socket.as_raw_fd() };
                let events = if fd == -1 { 0 } else { events };
                table.push(pollfd { fd, events, revents: 0 });
            }
        }
        let [by_poll, by_select] =
            [&mut ByPoll as &mut dyn Backend, &mut BySelect].map(|backend| {
                let rows = backend.wait(&mut table, Some(Duration::ZERO)).unwrap();
                (rows, table.iter().map(|row| row.revents).collect::<Vec<_>>())
            });
        assert_eq!(by_poll, by_select);
        assert!(by_poll.0.len() > 20 && by_poll.0.len() < 60, "{by_poll:?}");
    });
}

/// Interest is user memory: another backend can take over in the middle.
#[test]
fn a_backend_takes_over_what_is_waited_for() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        let bell = leave(&registration, ToRead);
        for round in 0..4 {
            ask_by(by(["select", "poll"][round % 2])).unwrap();
            look();
            assert_eq!(bell.rung(), 0);
        }
        put(&writer, b"!");
        look();
        assert_eq!(bell.rung(), 1);
    });
}

/// Readiness that is not there, and is reported all the same, is of the rows that are watched.
#[test]
fn made_up_readiness_is_of_what_is_watched() {
    on_both(LIMIT, |_| {
        let ((reader, _writer), (other, _other_writer)) = (pipe(), pipe());
        let rows = [register(&reader), register(&other)];
        let bell = leave(&rows[0], ToRead);
        look();
        assert_eq!(bell.rung(), 0);
        sys::inject(Some(Faults { seed: 1, one_in: 1, errors: &[], short: true }));
        wait(None, || false).unwrap();
        assert_eq!(bell.rung(), 1);
        // Now nobody waits for either of them.
        let mut table = [POLLIN, 0].map(|events| pollfd { fd: -1, events, revents: 0 });
        table[0].fd = reader.as_raw_fd();
        for name in ["poll", "select"] {
            assert_eq!(by(name).wait(&mut table, Some(Duration::ZERO)).unwrap(), [0], "{name}");
        }
        sys::inject(None);
    });
}

/// A name that stands for no backend is an error that says which there are, and not the usual one.
#[test]
fn a_reactor_that_there_is_not_is_an_error() {
    in_a_process("a_reactor_that_there_is_not_is_an_error", LIMIT, Some("selekt"), || {
        let error = Root::new().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let panic = catch_unwind(|| block_on(async {})).unwrap_err();
        for text in [error.to_string(), *panic.downcast::<String>().unwrap()] {
            let all = ["UNDER_AWAIT_REACTOR", "selekt", "poll", "select"];
            assert!(all.iter().all(|word| text.contains(word)), "{text}");
        }
    });
}

/// A backend hears of the rows that are there before it takes over, and does not if it cannot watch
/// them.
#[test]
fn a_backend_that_cannot_watch_what_is_there_does_not_take_over() {
    struct Refuses(RawFd);
    impl Backend for Refuses {
        fn changed(&mut self, _: usize, fd: RawFd, _: c_short) -> io::Result<()> {
            if fd == self.0 { Err(ErrorKind::InvalidInput.into()) } else { Ok(()) }
        }

        fn wait(&mut self, _: &mut [pollfd], _: Option<Duration>) -> io::Result<Vec<usize>> {
            panic!("it was refused")
        }
    }
    on_both(LIMIT, |_| {
        let (reader, writer) = pipe();
        let registration = register(&reader);
        let bell = leave(&registration, ToRead);
        let error = ask_by(Box::new(Refuses(reader.as_raw_fd()))).err().expect("it refuses");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        put(&writer, b"!");
        look();
        assert_eq!(bell.rung(), 1);
        // Nobody waits there any more.
        ask_by(Box::new(Refuses(reader.as_raw_fd()))).unwrap();
    });
}

// ── Threads and their ends ──

/// The rows are in the table of one thread.
#[test]
fn a_registration_is_not_send() {
    // For a type that is `Send` both impls apply, and the call below does not compile.
    trait Stays<Marker> {
        fn stays() {}
    }
    impl<T> Stays<()> for T {}
    impl<T: Send> Stays<u8> for T {}
    <Registration as Stays<_>>::stays();
}

/// A thread-local may keep a registration and outlive the reactor, or not.
#[test]
fn a_registration_may_outlive_its_reactor() {
    thread_local! {
        static KEPT: RefCell<Option<(Registration, PipeReader)>> = const { RefCell::new(None) };
    }
    within(LIMIT, || {
        for reactor_first in [true, false] {
            let thread = thread::spawn(move || {
                if reactor_first {
                    look();
                }
                KEPT.set(None);
                let (reader, _) = pipe();
                let registration = register(&reader);
                leave(&registration, ToRead);
                KEPT.set(Some((registration, reader)));
            });
            thread.join().unwrap();
        }
    });
}

/// Each thread has a reactor of its own.
#[test]
fn threads_wait_for_themselves() {
    on_both(LIMIT, |backend| {
        let threads = (0..8).map(|n: u32| {
            in_a_thread(move || {
                ask_by(by(backend)).unwrap();
                let (reader, writer) = pipe();
                let writer = in_a_thread(move || {
                    thread::sleep(Duration::from_millis(u64::from(5 * n)));
                    put(&writer, b"!");
                    writer
                });
                block_on(ready_to(ToRead, &reader)).unwrap();
                drop(writer.join().unwrap());
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    });
}

// ── Everything goes wrong that may ──

/// At every system call of the layer, in many sequences: interrupted waits, reads and writes, empty
/// reads where something is, and readiness made up. What comes through is right all the same.
#[test]
fn faults_change_nothing() {
    on_both(3 * LIMIT, |backend| {
        const ERRORS: &[(&str, i32)] = &[
            ("poll", libc::EINTR),
            ("select", libc::EINTR),
            ("write", libc::EINTR),
            ("read", libc::EINTR),
            ("read", libc::EAGAIN),
        ];
        let text = (0..300_u32).map(|n| n as u8).collect::<Vec<_>>();
        for seed in 1..=40 {
            ask_by(Liar::new(by(backend), seed as u32)).unwrap();
            let faults = Faults { seed, one_in: 3, errors: ERRORS, short: true };
            let ((there, to), (back, from)) = (pipe(), pipe());
            sys::inject(Some(faults));
            let hand_over = Arc::new(Mutex::new((0, None::<Waker>)));
            let helper = in_a_thread({
                let hand_over = hand_over.clone();
                move || {
                    sys::inject(Some(faults));
                    for _ in 0..20 {
                        let mut state = hand_over.lock().unwrap();
                        state.0 += 1;
                        let waker = state.1.take();
                        drop(state);
                        waker.into_iter().for_each(Waker::wake);
                        thread::yield_now();
                    }
                }
            });
            let woken = poll_fn(|cx| {
                let mut state = hand_over.lock().unwrap();
                state.1 = Some(cx.waker().clone());
                if state.0 == 20 { Poll::Ready(()) } else { Poll::Pending }
            });
            let send = async {
                for byte in &text {
                    attempt(ToWrite, &to, || (&to).write(&[*byte])).await;
                    if byte % 7 == 0 {
                        yield_now().await;
                    }
                }
            };
            let echo = async {
                for _ in &text {
                    let mut byte = [0];
                    attempt(ToRead, &there, || (&there).read(&mut byte)).await;
                    attempt(ToWrite, &from, || (&from).write(&byte)).await;
                }
            };
            let receive = async {
                let mut received = Vec::<u8>::new();
                while received.len() < text.len() {
                    let mut bytes = [0; 16];
                    let room = sys::portion(bytes.len());
                    let n = attempt(ToRead, &back, || (&back).read(&mut bytes[..room])).await;
                    received.extend(&bytes[..n]);
                }
                received
            };
            let ((_, _, received), ()) = block_on(join(join3(send, echo, receive), woken));
            sys::inject(None);
            assert_eq!(received, text, "seed {seed}");
            helper.join().unwrap();
        }
    });
}

/// A leaf as layers above will have it: tries first, waits when it would block, tries again.
async fn attempt(
    direction: Direction,
    io: &impl AsFd,
    mut call: impl FnMut() -> io::Result<usize>,
) -> usize {
    let registration = register(io);
    let name = if direction == ToRead { "read" } else { "write" };
    poll_fn(|cx| {
        loop {
            match sys::attempt(name, &mut call) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    registration.wait_for(direction, cx).unwrap();
                    return Poll::Pending;
                }
                result => return Poll::Ready(result.unwrap()),
            }
        }
    })
    .await
}

// ── A backend that tells ──

/// Writes down how long the table is at each wait; and sees to it that it was told of all that stands
/// there, as a backend has to be that has a table of its own in the kernel.
struct Sizes {
    inner: Box<dyn Backend>,
    sizes: Rc<RefCell<Vec<usize>>>,
    /// The descriptor and the events of each row, as it was told.
    told: BTreeMap<usize, (RawFd, c_short)>,
}

impl Sizes {
    #[expect(clippy::new_ret_no_self, reason = "what is to be had of it is a backend")]
    fn new(inner: Box<dyn Backend>, sizes: &Rc<RefCell<Vec<usize>>>) -> Box<dyn Backend> {
        Box::new(Sizes { inner, sizes: sizes.clone(), told: BTreeMap::new() })
    }
}

impl Backend for Sizes {
    fn changed(&mut self, row: usize, fd: RawFd, events: c_short) -> io::Result<()> {
        self.told.insert(row, (fd, events));
        self.inner.changed(row, fd, events)
    }

    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        self.sizes.borrow_mut().push(table.len());
        for (row, pollfd) in table.iter().enumerate() {
            let told = self.told.get(&row).filter(|(_, events)| *events != 0);
            assert_eq!(*told.unwrap_or(&(-1, 0)), (pollfd.fd, pollfd.events), "row {row}");
        }
        self.inner.wait(table, timeout)
    }
}

// ── Tools ──

/// In a process of its own: the name of the call that its reactors make.
fn backend_of_process() -> String {
    env::var("UNDER_AWAIT_REACTOR").expect("set by `in_a_process`")
}

/// A thread that writes into the same ledger.
fn in_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let ledger = ledger();
    thread::spawn(move || {
        ledger.attach();
        f()
    })
}

/// The system calls in `ledger`, in order.
fn calls(ledger: &Ledger) -> Vec<&'static str> {
    let calls = ledger.entries().into_iter().filter_map(|entry| match entry.event {
        Event::Call(name) => Some(name),
        _ => None,
    });
    calls.collect()
}

/// Asks the kernel once, without sleeping, and wakes whoever is concerned.
fn look() {
    wait(Some(Duration::ZERO), || false).unwrap();
}

/// Waits until both bells have rung; they may ring in two waits.
fn wait_until(bells: &[Arc<Bell>; 2]) {
    let mut seen = [0, 0];
    while seen.contains(&0) {
        wait(None, || false).unwrap();
        seen = [seen[0] + bells[0].rung(), seen[1] + bells[1].rung()];
    }
    assert_eq!(seen, [1, 1]);
}

fn register(io: &impl AsFd) -> Registration {
    Registration::new(io).unwrap()
}

/// Leaves a new waker with `registration`: here is what it rings.
fn leave(registration: &Registration, direction: Direction) -> Arc<Bell> {
    let (bell, waker) = Bell::new();
    registration.wait_for(direction, &mut Context::from_waker(&waker)).unwrap();
    bell
}

fn rung<const N: usize>(bells: &[Arc<Bell>; N]) -> [u32; N] {
    std::array::from_fn(|i| bells[i].rung())
}

/// A waker of a `block_on` that has ended on this thread.
fn kept_waker() -> Waker {
    let mut kept = None;
    block_on(poll_fn(|cx| {
        kept = Some(cx.waker().clone());
        Poll::Ready(())
    }));
    kept.unwrap()
}

fn pipe() -> (PipeReader, PipeWriter) {
    sys::pipe().unwrap()
}

/// Another descriptor for what `io` is, with that number, which must be free: in a process where nobody
/// else opens anything.
fn at_number(number: RawFd, io: &impl AsFd) -> OwnedFd {
    // SAFETY: `io` is borrowed, and the new descriptor is ours. It takes the lowest number from there on.
    let fd = unsafe { libc::fcntl(io.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
    assert_eq!(fd, number, "somebody else has it");
    // SAFETY: it is open, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A connection to ourselves, if there is such an address here.
fn tcp(address: &str) -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(address)?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let (peer, _) = listener.accept()?;
    socket.set_nonblocking(true)?;
    peer.set_nonblocking(true)?;
    Ok((socket, peer))
}

/// A pair of sockets, the first of which cannot be written to.
fn full_socket() -> (UnixStream, UnixStream) {
    let (socket, peer) = UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    fill(&socket);
    (socket, peer)
}

/// A pair of sockets, the first of which can be written to.
fn open_socket() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// Writes until there is no room.
fn fill<T>(io: &T)
where
    for<'a> &'a T: Write,
{
    // What is on its way makes room on arrival: fill again until nothing goes in for a while.
    let mut quiet = 0;
    while quiet < 5 {
        match { io }.write(&[0; 4096]) {
            Ok(1..) => quiet = 0,
            Ok(0) => panic!("there is room for nothing, and yet for something"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                quiet += 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Reads what there is.
fn drain<T>(io: &T)
where
    for<'a> &'a T: Read,
{
    while { io }.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
}

fn put<T>(io: &T, bytes: &[u8])
where
    for<'a> &'a T: Write,
{
    { io }.write_all(bytes).unwrap();
}

/// Polls `future` once, with the waker of this task.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// Asks up to `times` times, and says whether the answer was yes.
fn spin(times: u32, done: impl Fn() -> bool) -> bool {
    (0..times).any(|_| {
        std::hint::spin_loop();
        done()
    })
}
