//! Layer 15, invariant by invariant, on both backends of the reactor: the server, the protocol, and what
//! is served by them here.
//!
//! Beside the original, and for clients that others wrote, see `tests/oracle/tests/redis.rs`.

#![cfg(all(unix, not(miri)))] // Sockets.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::future::{Future, pending};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, SocketAddr};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, RawFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, AsyncWriteExt};

use support::faults::all;
use support::net::reset;
use support::reactors::by;
use support::{
    Drops, Event, Ledger, Random, allocated_bytes, in_a_process, ledger, on_both, scaled,
    thread_cpu_time,
};
use under_await::ch08_poll::{Backend, ask_by};
use under_await::ch09_timer::pending_timers;
use under_await::ch15_serve::redis::{Db, talk};
use under_await::ch15_serve::resp::{Parser, Reply, Request, Violation, integer};
use under_await::net::{TcpListener, TcpStream};
use under_await::server::{Connection, Limits, serve};
use under_await::sync::{Notify, oneshot};
use under_await::time::{Elapsed, sleep, timeout};
use under_await::{CancelToken, block_on, join, select, spawn, sys, yield_now};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(30);

/// A port that the system chooses, on this machine only.
const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// What no test waits for.
const HOUR: Duration = Duration::from_secs(3600);

/// Room for all, and patience.
const PATIENT: Limits = Limits { connections: 100, idle: HOUR, grace: HOUR };

// ── Invariant 1: room first ──

/// Invariant 1. Of ten clients three are served. Whenever one leaves, the next has its place, in the
/// order in which they came; and as long as there is no room the kernel is not asked for anybody.
#[test]
fn as_many_are_served_as_there_is_room_for() {
    on_both(LIMIT, |_| {
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (count, highest) = (now.clone(), most.clone());
        let greet = move |client: Connection| {
            let (now, most) = (count.clone(), highest.clone());
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                client.write_all(b"hello").await.unwrap();
                while client.read(&mut [0; 8]).await.unwrap() > 0 {}
                now.set(now.get() - 1);
            }
        };
        let limits = Limits { connections: 3, ..PATIENT };
        let (end, ()) = served(limits, greet, async |place| {
            let tries = || ledger().count(Event::Call("accept"));
            let mut clients = Vec::new();
            for number in 0..10 {
                if number == 3 {
                    for client in &mut clients {
                        Client::hears(client, b"hello").await;
                    }
                }
                let before = tries();
                clients.push(Client::new(place).await);
                if number >= 3 {
                    assert_eq!(clients[number].nothing_more().await, b"", "{number} is inside");
                    assert_eq!(tries(), before, "there is no room for number {number}");
                }
            }
            for mut next in clients.split_off(3) {
                assert_eq!((now.get(), next.nothing_more().await), (3, vec![]));
                clients.remove(0);
                next.hears(b"hello").await;
                clients.push(next);
            }
        });
        assert_eq!((end, now.get(), most.get()), (Ok(()), 0, 3));
    });
}

/// Invariant 1. However a handler ends, its room is free. There is room for one, so the next client shows it.
#[test]
fn every_end_of_a_handler_makes_room() {
    on_both(LIMIT, |_| {
        let kept = Rc::new(Cell::new(None));
        let keep = kept.clone();
        let turn = Cell::new(0);
        let handler = move |client: Connection| {
            turn.set(turn.get() + 1);
            assert!(turn.get() != 2, "a panic of the handler, before there is a future");
            let (turn, keep) = (turn.get(), keep.clone());
            async move {
                client.write_all(b"hello").await?;
                match turn {
                    1 => panic!("a panic of the future"),
                    3 => return Err(ErrorKind::Other.into()),
                    4 => drop(PanicsInDrop),
                    // It is over, and somebody else has the connection.
                    5 => keep.set(Some(client.into_inner())),
                    _ => while client.read(&mut [0; 8]).await? > 0 {},
                }
                io::Result::Ok(())
            }
        };
        let limits = Limits { connections: 1, ..PATIENT };
        let (end, ()) = served(limits, handler, async |place| {
            for turn in 1..=7 {
                let mut client = Client::new(place).await;
                if turn != 2 {
                    client.hears(b"hello").await;
                }
            }
        });
        assert_eq!(end, Ok(()));
        assert!(kept.take().is_some());
    });
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("a panic of a drop");
    }
}

/// Invariants 1 and 2. There is room for one. An accept that fails has used none of it.
#[test]
fn an_accept_that_fails_makes_room() {
    const EMFILE: &[(&str, i32)] = &[("accept", libc::EMFILE)];
    on_both(LIMIT, |_| {
        let limits = Limits { connections: 1, ..PATIENT };
        let (end, ()) = served(limits, echo, async |place| {
            for _ in 0..3 {
                let tries = ledger().count(Event::Call("accept"));
                sys::inject(Some(all(EMFILE)));
                let mut client = Client::new(place).await;
                until(|| ledger().count(Event::Call("accept")) > tries).await;
                sys::inject(None);
                client.asks(b"anybody there?", b"anybody there?").await;
            }
        });
        assert_eq!(end, Ok(()));
    });
}

// ── Invariant 2: it goes on ──

/// Invariant 2. Whatever accept(2) says, it is asked again: not at once, and not for ever in vain.
#[test]
fn no_error_of_accept_ends_it_or_makes_it_spin() {
    const ERRORS: &[(&str, i32)] = &[
        ("accept", libc::EMFILE),
        ("accept", libc::ENFILE),
        ("accept", libc::ENOBUFS),
        ("accept", libc::ENOMEM),
        ("accept", libc::EPROTO),
        ("accept", libc::EPERM),
        ("accept", libc::ENETUNREACH),
    ];
    on_both(LIMIT, |_| {
        let (end, ()) = served(PATIENT, echo, async |place| {
            for error in ERRORS {
                let tried = || ledger().count(Event::Call("accept"));
                let (before, start) = (tried(), Instant::now());
                sys::inject(Some(all(std::slice::from_ref(error))));
                let mut client = Client::new(place).await;
                until(|| tried() >= before + 3).await;
                let (tries, pauses) = (tried() - before, start.elapsed().as_millis() / 100);
                assert!(u128::from(tries) <= pauses + 2, "{error:?}: {tries} tries");
                sys::inject(None);
                client.asks(b"anybody there?", b"anybody there?").await;
            }
        });
        assert_eq!(end, Ok(()));
    });
}

/// Invariant 2. There are really no descriptors left for a second. Then nobody is let in, those who are
/// inside are served, and next to nothing is asked or computed.
#[test]
fn without_descriptors_it_waits_and_goes_on() {
    let this = "without_descriptors_it_waits_and_goes_on";
    for backend in ["poll", "select"] {
        in_a_process(this, LIMIT, Some(backend), || {
            let (end, ()) = served(PATIENT, echo, async |place| {
                let mut inside = Client::new(place).await;
                inside.asks(b"first", b"first").await;
                let mut files = use_up_all_descriptors();
                // One is for this end of the connection.
                files.pop();
                let mut outside = Client::new(place).await;
                let tried = || ledger().count(Event::Call("accept"));
                let (before, start, busy) = (tried(), Instant::now(), sys::cpu_time());
                for _ in 0..10 {
                    sleep(ms(100)).await;
                    inside.asks(b"still", b"still").await;
                }
                let (tries, pauses) = (tried() - before, start.elapsed().as_millis() / 100);
                let busy = sys::cpu_time().zip(busy).map(|(now, then)| now - then);
                println!("{tries} tries in {:?}, and {busy:?} of CPU time", start.elapsed());
                assert!(2 <= tries && u128::from(tries) <= pauses + 2, "{tries} tries");
                assert!(busy.unwrap_or_default() <= start.elapsed() / 10, "{busy:?}");
                drop(files);
                outside.asks(b"second", b"second").await;
            });
            assert_eq!(end, Ok(()));
        });
    }
}

fn use_up_all_descriptors() -> Vec<std::fs::File> {
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    // SAFETY: `limit` is only read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

/// Invariant 2. A client that resets its connection, one whose handler panics and one whose handler fails
/// end their own connections. Another one, that was there before, hears of nothing.
#[test]
fn a_reset_a_panic_and_an_error_end_one_connection_each() {
    on_both(LIMIT, |_| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let see = seen.clone();
        let handler = move |client: Connection| {
            let see = see.clone();
            async move {
                let mut buffer = [0; 64];
                loop {
                    let count = client.read(&mut buffer).await;
                    match count {
                        Ok(count) if &buffer[..count] == b"panic" => panic!("as it was asked to"),
                        Ok(count) if count > 0 => client.write_all(&buffer[..count]).await?,
                        end => {
                            see.borrow_mut().push(end.as_ref().map_err(io::Error::kind).copied());
                            return end.map(drop);
                        }
                    }
                }
            }
        };
        let (end, ()) = served(PATIENT, handler, async |place| {
            let mut well = Client::new(place).await;
            well.asks(b"1", b"1").await;
            for round in 0..3 {
                let mut ill = Client::new(place).await;
                ill.asks(b"hello", b"hello").await;
                match round {
                    0 => {
                        ill.says(b"panic").await;
                        assert_eq!(ill.rest().await, b"");
                    }
                    _ => {
                        let twin = ill.stream.as_fd().try_clone_to_owned().unwrap();
                        reset(twin.into());
                        drop(ill);
                        until(|| seen.borrow().len() == round).await;
                    }
                }
                well.asks(b"2", b"2").await;
            }
        });
        assert_eq!(end, Ok(()));
        let [first, second, last] = seen.borrow()[..] else { panic!("{seen:?}") };
        assert_eq!([first, second], [Err(ErrorKind::ConnectionReset); 2]);
        assert_eq!(last, Ok(0), "that is the one that was well");
    });
}

// ── Invariant 3: no silence for ever ──

/// Invariant 3. Who says nothing is let go when the time is over, and not before. Who says something now
/// and then is not.
#[test]
fn who_is_silent_is_let_go() {
    on_both(LIMIT, |_| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let see = seen.clone();
        let handler = move |client: Connection| {
            let see = see.clone();
            async move {
                let (start, mut all) = (Instant::now(), Vec::new());
                let end = read_to_end(&client, &mut all).await;
                let kind = end.map_err(|error| error.kind());
                see.borrow_mut().push((kind, all.len(), start.elapsed()));
            }
        };
        let idle = scaled(ms(300));
        let limits = Limits { idle, ..PATIENT };
        let (end, ()) = served(limits, handler, async |place| {
            let mut silent = Client::new(place).await;
            let mut slow = Client::new(place).await;
            for _ in 0..40 {
                slow.says(b"!").await;
                // Both sides are on one thread: where it is slow, it is for both.
                sleep(idle / 10).await;
            }
            drop(slow);
            assert_eq!(silent.rest().await, b"");
            until(|| seen.borrow().len() == 2).await;
        });
        assert_eq!(end, Ok(()));
        let [(silent, none, first), (slow, all, second)] = seen.borrow()[..] else {
            panic!("{seen:?}")
        };
        assert_eq!((silent, none), (Err(ErrorKind::TimedOut), 0));
        assert_eq!((slow, all), (Ok(()), 40));
        assert!(idle <= first && 3 * idle <= second, "{first:?}, {second:?}");
    });
}

/// Invariant 3. Who takes nothing of what it is sent is let go, and what was for it goes with it. Who
/// takes it bit by bit has all the time it needs.
#[test]
fn who_does_not_listen_is_let_go() {
    const MUCH: usize = 512 << 10;
    on_both(LIMIT, |_| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let see = seen.clone();
        let handler = move |client: Connection| {
            let see = see.clone();
            async move {
                let start = Instant::now();
                let end = client.write_all(&numbered(MUCH)).await;
                see.borrow_mut().push((end.map_err(|error| error.kind()), start.elapsed()));
            }
        };
        // Ten reads in that time: one has to be enough.
        let idle = scaled(ms(500));
        let limits = Limits { idle, ..PATIENT };
        let (end, ()) = served_at(narrow_listener(), limits, handler, async |place| {
            let deaf = narrow(Client::new(place).await);
            let mut slow = narrow(Client::new(place).await);
            let mut heard = Vec::<u8>::new();
            while heard.len() < MUCH {
                let mut bit = vec![0; 16 << 10];
                let count = slow.stream.read(&mut bit).await.unwrap();
                assert!(count > 0, "it was let go after {} bytes", heard.len());
                heard.extend(&bit[..count]);
                sleep(idle / 10).await;
            }
            assert!(heard == numbered(MUCH), "other bytes arrived");
            until(|| seen.borrow().len() == 2).await;
            drop(deaf);
        });
        assert_eq!(end, Ok(()));
        let [(deaf, first), (slow, second)] = seen.borrow()[..] else { panic!("{seen:?}") };
        assert_eq!((deaf, slow), (Err(ErrorKind::TimedOut), Ok(())));
        assert!(idle <= first && 2 * idle <= second, "{first:?}, {second:?}");
    });
}

/// A thousand clients that say nothing cost nothing. Select has not so many descriptors.
#[test]
fn a_thousand_idle_clients_cost_nothing() {
    let this = "a_thousand_idle_clients_cost_nothing";
    for backend in ["poll", "select"] {
        in_a_process(this, LIMIT, Some(backend), || {
            let by_select = env::var("UNDER_AWAIT_REACTOR").is_ok_and(|name| name == "select");
            let clients = if by_select { 400 } else { 1_000 };
            more_descriptors(2 * clients as u64 + 50);
            let limits = Limits { connections: clients, ..PATIENT };
            let (end, ()) = served_by_redis(limits, async |place| {
                let mut all = Vec::new();
                for _ in 0..clients {
                    let mut client = Client::new(place).await;
                    client.asks(b"PING\r\n", b"+PONG\r\n").await;
                    all.push(client);
                }
                sleep(ms(10)).await;
                let waited = || ["poll", "select"].map(|call| ledger().count(Event::Call(call)));
                let (before, busy) = (waited(), sys::cpu_time());
                sleep(Duration::from_secs(1)).await;
                let busy = sys::cpu_time().zip(busy).map(|(now, then)| now - then);
                let waits = waited().into_iter().sum::<u64>() - before.into_iter().sum::<u64>();
                println!("{clients} clients, 1 s: {waits} waits, {busy:?} of CPU time");
                assert!(waits <= 3, "{waits} waits");
                assert!(busy.unwrap_or_default() <= ms(10), "{busy:?}");
            });
            assert_eq!(end, Ok(()));
        });
    }
}

/// Lets this process have so many descriptors, if it may.
fn more_descriptors(needed: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = limit.rlim_cur.max(needed.min(limit.rlim_max));
    // SAFETY: `limit` is only read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

// ── Invariant 4: one answer, then the next ──

/// Invariant 4. A client asks and asks and listens to nothing. Then nothing more of it is read, so in the
/// end it cannot ask; others are served meanwhile. As soon as it listens it goes on, and every answer is there.
#[test]
fn who_does_not_listen_is_not_asked_for_more() {
    on_both(LIMIT, |_| {
        let word = vec![b'x'; 1000];
        let request = [b"*2\r\n$4\r\nECHO\r\n$1000\r\n", &word[..], b"\r\n"].concat();
        let reply = [b"$1000\r\n", &word[..], b"\r\n"].concat();
        let (end, ()) = served_at(narrow_listener(), PATIENT, redis(), async |place| {
            let mut deaf = narrow(Client::new(place).await);
            let (mut asked, mut other) = (0, Client::new(place).await);
            // Until nothing is taken any more, for ten turns of the others.
            let mut refusals = 0;
            while refusals < 10 {
                let part = &request[asked % request.len()..];
                match timeout(ms(1), deaf.stream.write(part)).await {
                    Ok(count) => (asked, refusals) = (asked + count.unwrap(), 0),
                    Err(Elapsed) => refusals += 1,
                }
                other.asks(b"PING\r\n", b"+PONG\r\n").await;
                assert!(asked < 20 << 20, "{asked} bytes were taken, and no answer was heard");
            }
            println!("it could ask for {asked} bytes");
            let part = &request[asked % request.len()..];
            let replies = asked.div_ceil(request.len());
            let finish = async { (&deaf.stream).write_all(part).await.unwrap() };
            let listen = async {
                for _ in 0..replies {
                    let mut heard = vec![0; reply.len()];
                    (&deaf.stream).read_exact(&mut heard).await.unwrap();
                    assert!(heard == reply, "other bytes arrived");
                }
            };
            join!(finish, listen);
        });
        assert_eq!(end, Ok(()));
    });
}

/// Invariant 4. Replies do not pile up: a hundred large ones were asked for, and there are two at most.
#[test]
fn replies_do_not_pile_up() {
    const LARGE: usize = 1 << 20;
    on_both(LIMIT, |_| {
        let (end, ()) = served_at(narrow_listener(), PATIENT, redis(), async |place| {
            let (mut deaf, mut other) = (Client::new(place).await, Client::new(place).await);
            let set = [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", &bulk(&vec![7; LARGE])[..]].concat();
            other.asks(&set, b"+OK\r\n").await;
            drop(set);
            let before = allocated_bytes();
            deaf.says(&b"GET k\r\n".repeat(100)).await;
            for _ in 0..20 {
                other.asks(b"PING\r\n", b"+PONG\r\n").await;
                sleep(ms(1)).await;
            }
            let piled_up = allocated_bytes() - before;
            assert!(piled_up < 3 * LARGE as i64, "{piled_up} bytes for replies of {LARGE} each");
            let (mut heard, reply) = (vec![0; LARGE + 12], bulk(&vec![7; LARGE]));
            for _ in 0..100 {
                deaf.stream.read_exact(&mut heard).await.unwrap();
                assert!(heard == reply, "other bytes arrived");
            }
        });
        assert_eq!(end, Ok(()));
    });
}

/// Where a request and its reply fit into a buffer each, they cost one read and one write.
#[test]
fn a_request_costs_a_read_and_a_write() {
    on_both(LIMIT, |_| {
        const REQUESTS: u64 = 500;
        let [reads, writes, waits] = calls_for(REQUESTS, b"PING\r\n", b"+PONG\r\n");
        println!("{REQUESTS} requests: {reads} reads, {writes} writes, {waits} waits");
        assert_eq!(writes, REQUESTS);
        // The first read may come too early, and the last one finds the end.
        assert!((REQUESTS..=REQUESTS + 3).contains(&reads), "{reads} reads");
        assert!(waits <= REQUESTS + 10, "{waits} waits");
    });
}

/// A hundred requests that come together cost one read and one write.
#[test]
fn a_pipeline_costs_a_read_and_a_write() {
    on_both(LIMIT, |_| {
        const ROUNDS: u64 = 50;
        let [reads, writes, waits] =
            calls_for(ROUNDS, &b"PING\r\n".repeat(100), &b"+PONG\r\n".repeat(100));
        println!("{ROUNDS} times 100 requests: {reads} reads, {writes} writes, {waits} waits");
        assert_eq!(writes, ROUNDS);
        assert!((ROUNDS..=ROUNDS + 3).contains(&reads), "{reads} reads");
        assert!(waits <= ROUNDS + 10, "{waits} waits");
    });
}

/// How often a server reads, writes and waits, to whom a client on another thread says `request` so
/// often, each time with its reply in hand.
fn calls_for(times: u64, request: &[u8], reply: &[u8]) -> [u64; 3] {
    let (listener, calls) = (net::TcpListener::bind("127.0.0.1:0").unwrap(), Ledger::open());
    let (address, (over, is_over)) = (listener.local_addr().unwrap(), oneshot::channel());
    let (request, reply) = (request.to_vec(), reply.to_vec());
    let client = thread::spawn(move || {
        let mut stream = net::TcpStream::connect(address).unwrap();
        let mut heard = vec![0; reply.len()];
        for _ in 0..times {
            // The server is asleep by then, most of the time.
            thread::sleep(Duration::from_micros(50));
            stream.write_all(&request).unwrap();
            stream.read_exact(&mut heard).unwrap();
            assert!(heard == reply, "{:?}", String::from_utf8_lossy(&heard));
        }
        drop(stream);
        over.send(()).unwrap();
    });
    block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        serve(listener, PATIENT, redis(), is_over).await.unwrap();
    });
    client.join().unwrap();
    let count = |name| calls.count(Event::Call(name));
    [count("recv"), count("send"), count("poll") + count("select")]
}

// ── Invariant 5: a good end ──

/// Invariant 5. Requests of five clients have arrived when the end comes, and none of them was read. All
/// of them are answered, and after that comes the end of the connection.
#[test]
fn what_was_asked_by_the_end_is_answered() {
    on_both(LIMIT, |_| {
        let (end, ()) = served_by_redis(PATIENT, async |place| {
            let mut clients = Vec::new();
            for _ in 0..5 {
                let mut client = Client::new(place).await;
                client.asks(b"PING\r\n", b"+PONG\r\n").await;
                clients.push(client);
            }
            for client in &mut clients {
                client.says(&b"INCR requests\r\n".repeat(1_000)).await;
                client.wait_until_it_has_arrived();
            }
            place.stop.cancel();
            let mut numbers = Vec::new();
            for mut client in clients {
                let rest = String::from_utf8(client.rest().await).unwrap();
                let replies = rest.split_terminator("\r\n").map(|reply| reply[1..].parse::<u32>());
                numbers.extend(replies.map(Result::unwrap));
            }
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(1..=5_000));
        });
        assert_eq!(end, Ok(()));
    });
}

/// Invariant 5. The handler is busy with the first request while the second one comes, and the end. It
/// has read less than there was room for, so its next read is one that waits without having tried.
#[test]
fn what_came_while_the_handler_was_busy_is_read() {
    on_both(LIMIT, |_| {
        let (go_on, read) = (Rc::new(Notify::new()), Rc::new(RefCell::new(Vec::new())));
        let (notify, words) = (go_on.clone(), read.clone());
        let handler = move |client: Connection| {
            let (notify, words) = (notify.clone(), words.clone());
            async move {
                let mut buffer = [0; 64];
                loop {
                    let count = client.read(&mut buffer).await.unwrap();
                    words.borrow_mut().push(buffer[..count].to_vec());
                    if count == 0 {
                        break;
                    }
                    notify.notified().await;
                }
            }
        };
        let (end, ()) = served(PATIENT, handler, async |place| {
            let mut client = Client::new(place).await;
            client.says(b"first").await;
            until(|| read.borrow().len() == 1).await;
            client.says(b"second").await;
            client.wait_until_it_has_arrived();
            place.stop.cancel();
            // As this is over, the end is near for all.
            yield_now().await;
            go_on.notify_one();
            until(|| read.borrow().len() >= 2).await;
            go_on.notify_one();
            assert_eq!(client.rest().await, b"");
        });
        assert_eq!(end, Ok(()));
        assert_eq!(*read.borrow(), [&b"first"[..], b"second", b""]);
    });
}

/// Invariant 5. There is more to read than one poll may. That it has to wait for its next turn is not the
/// end; and others have theirs in between.
#[test]
fn more_than_a_poll_may_read_is_read_at_the_end() {
    on_both(LIMIT, |_| {
        for beside in [false, true] {
            let (go_on, read) = (Rc::new(Notify::new()), Rc::new(Cell::new(0)));
            let (turns, meanwhile) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let (notify, bytes) = (go_on.clone(), read.clone());
            let (of_others, between) = (turns.clone(), meanwhile.clone());
            let handler = move |client: Connection| {
                let (notify, bytes) = (notify.clone(), bytes.clone());
                let (turns, between) = (of_others.clone(), between.clone());
                async move {
                    client.write_all(b"hello").await.unwrap();
                    notify.notified().await;
                    let (mut buffer, before) = ([0; 16], turns.get());
                    loop {
                        let count = select! {
                            biased;
                            count = client.read(&mut buffer) => count.unwrap(),
                            // One more leaf that the budget refuses.
                            () = sleep(HOUR), if beside => unreachable!(),
                        };
                        bytes.set(bytes.get() + count);
                        if count == 0 {
                            break between.set(turns.get() - before);
                        }
                    }
                }
            };
            let (end, ()) = served(PATIENT, handler, async |place| {
                let mut client = Client::new(place).await;
                client.hears(b"hello").await;
                client.says(&[7; 16 * 1000]).await;
                client.wait_until_it_has_arrived();
                place.stop.cancel();
                yield_now().await;
                go_on.notify_one();
                let others = async {
                    loop {
                        yield_now().await;
                        turns.set(turns.get() + 1);
                    }
                };
                select! {
                    _ = client.rest() => {}
                    () = others => {}
                }
            });
            assert_eq!((end, read.get()), (Ok(()), 16 * 1000), "with one more: {beside}");
            let turns = meanwhile.get();
            assert!(turns >= 5, "{turns} turns for the others in 1,000 reads");
        }
    });
}

/// Invariant 5. A client that always has something to say is heard until the grace is over.
#[test]
fn who_does_not_stop_is_cut_in_the_end() {
    on_both(LIMIT, |_| {
        // It takes much longer than the grace to hear what has arrived.
        let listen = async |client: Connection| {
            client.write_all(b"hello").await?;
            while client.read(&mut [0; 16]).await? > 0 {
                sleep(ms(1)).await;
            }
            io::Result::Ok(())
        };
        let limits = Limits { grace: ms(300), ..PATIENT };
        let (end, ()) = served(limits, listen, async |place| {
            let mut client = Client::new(place).await;
            client.hears(b"hello").await;
            client.says(&[7; 60_000]).await;
            client.wait_until_it_has_arrived();
            place.stop.cancel();
            let error = client.stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
        assert_eq!(end, Err(Elapsed));
    });
}

/// Invariant 5. Who is idle hears of the end at once; `serve` waits neither for its time to be over nor
/// for the grace.
#[test]
fn idle_clients_are_let_go_at_once() {
    on_both(LIMIT, |_| {
        let (end, ()) = served_by_redis(PATIENT, async |place| {
            let mut clients = Vec::new();
            for _ in 0..10 {
                let mut client = Client::new(place).await;
                client.asks(b"PING\r\n", b"+PONG\r\n").await;
                clients.push(client);
            }
            place.stop.cancel();
            for mut client in clients {
                assert_eq!(client.rest().await, b"");
            }
        });
        assert_eq!(end, Ok(()), "the watchdog has less patience than an hour");
    });
}

/// Invariant 5. A handler that does not come to an end is cut when the grace is over, and not before. The
/// others have ended well, and nothing is left of any of them when `serve` is over.
#[test]
fn who_is_stuck_is_cut_after_the_grace() {
    on_both(LIMIT, |_| {
        let rows = count_rows();
        let drops = Drops::default();
        let (counted, well) = (drops.clone(), Rc::new(Cell::new(0)));
        let (ended, shared) = (well.clone(), Rc::new(()));
        let (captured, number) = (shared.clone(), Cell::new(0));
        let handler = move |client: Connection| {
            number.set(number.get() + 1);
            let (number, token) = (number.get(), counted.token());
            let (ended, captured) = (ended.clone(), captured.clone());
            async move {
                let _kept = (token, captured);
                if number > 3 {
                    return pending().await;
                }
                while client.read(&mut [0; 8]).await.unwrap() > 0 {}
                ended.set(ended.get() + 1);
            }
        };
        let limits = Limits { grace: ms(200), ..PATIENT };
        block_on(async {
            let before = (rows(), pending_timers());
            let listener = listener();
            let place = Place::of(&listener);
            let server = serve(listener, limits, handler, place.stop.cancelled());
            let clients = async {
                let mut all = Vec::new();
                for _ in 0..6 {
                    all.push(net::TcpStream::connect(place.address).unwrap());
                }
                until(|| Rc::strong_count(&shared) == 2 + 6).await;
                let start = Instant::now();
                place.stop.cancel();
                until(|| drops.count() == 3).await;
                assert_eq!(well.get(), 3, "these are the ones that come to an end");
                // Nobody is let in meanwhile.
                let late = TcpStream::connect(place.address).await;
                assert_eq!(late.unwrap_err().kind(), ErrorKind::ConnectionRefused);
                (all, start)
            };
            let (end, (_all, start)) = join!(server, clients);
            assert_eq!(end, Err(Elapsed));
            assert!(start.elapsed() >= ms(200));
            assert_eq!((drops.count(), well.get()), (6, 3));
            assert_eq!(Rc::strong_count(&shared), 1, "what the handler captured");
            assert_eq!((rows(), pending_timers()), before, "rows and timers");
            let late = TcpStream::connect(place.address).await;
            assert_eq!(late.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        });
    });
}

/// Counts the rows of this thread's reactor that somebody has, besides that of its pipe.
fn count_rows() -> impl Fn() -> usize {
    struct Counting {
        inner: Box<dyn Backend>,
        taken: Arc<Mutex<BTreeMap<usize, RawFd>>>,
    }
    impl Backend for Counting {
        fn changed(&mut self, row: usize, fd: RawFd, events: libc::c_short) -> io::Result<()> {
            self.taken.lock().unwrap().insert(row, fd);
            self.inner.changed(row, fd, events)
        }

        fn wait(
            &mut self,
            table: &mut [libc::pollfd],
            timeout: Option<Duration>,
        ) -> io::Result<Vec<usize>> {
            self.inner.wait(table, timeout)
        }
    }
    let (inner, taken) = (by("poll"), Arc::default());
    let inner = ask_by(inner).unwrap();
    ask_by(Box::new(Counting { inner, taken: Arc::clone(&taken) })).unwrap();
    move || taken.lock().unwrap().iter().filter(|(row, fd)| **row > 0 && **fd != -1).count()
}

/// Invariant 5. Dropped before it is over, `serve` drops its handlers, each when its turn comes; and
/// whoever waited outside is let go.
#[test]
fn who_drops_the_server_drops_its_handlers() {
    on_both(LIMIT, |_| {
        let rows = count_rows();
        let drops = Drops::default();
        let counted = drops.clone();
        let handler = move |client: Connection| {
            let token = counted.token();
            async move {
                client.write_all(b"hello").await.unwrap();
                let _kept = (token, client);
                pending::<()>().await;
            }
        };
        block_on(async {
            let before = (rows(), pending_timers());
            let listener = listener();
            let place = Place::of(&listener);
            let limits = Limits { connections: 5, ..PATIENT };
            let clients = async {
                let mut clients = Vec::new();
                for _ in 0..6 {
                    clients.push(Client::new(&place).await);
                }
                for client in &mut clients[..5] {
                    client.hears(b"hello").await;
                }
                clients
            };
            let clients = select! {
                _ = serve(listener, limits, handler, pending::<()>()) => unreachable!(),
                clients = clients => clients,
            };
            assert_eq!(drops.count(), 0, "their turn has not come yet");
            yield_now().await;
            yield_now().await;
            assert_eq!(drops.count(), 5);
            for mut client in clients {
                let end = client.stream.read(&mut [0; 8]).await;
                assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
            }
            assert_eq!((rows(), pending_timers()), before, "rows and timers");
        });
    });
}

/// The end of `block_on` is the end of the server, of its handlers and of what they hold.
#[test]
fn nothing_survives_its_runtime() {
    on_both(LIMIT, |_| {
        let drops = Drops::default();
        let (counted, shared) = (drops.clone(), Rc::new(()));
        let captured = shared.clone();
        let handler = move |client: Connection| {
            let (token, captured) = (counted.token(), captured.clone());
            async move {
                client.write_all(b"hello").await.unwrap();
                let _kept = (token, captured, client);
                pending::<()>().await;
            }
        };
        let _clients = block_on(async {
            let listener = listener();
            let place = Place::of(&listener);
            drop(spawn(serve(listener, PATIENT, handler, pending::<()>())));
            let mut clients = Vec::new();
            for _ in 0..5 {
                let mut client = Client::new(&place).await;
                client.hears(b"hello").await;
                clients.push(client);
            }
            clients
        });
        assert_eq!((drops.count(), Rc::strong_count(&shared)), (5, 1));
        assert_eq!(pending_timers(), 0);
    });
}

/// The end may come before the first client, and before the first poll.
#[test]
fn the_end_may_come_at_once() {
    on_both(LIMIT, |_| {
        block_on(async {
            for _ in 0..3 {
                assert_eq!(serve(listener(), PATIENT, echo, async {}).await, Ok(()));
            }
            let none = Limits { connections: 0, idle: ms(0), grace: ms(0) };
            assert_eq!(serve(listener(), none, echo, sleep(ms(5))).await, Ok(()));
            let (one, other) = join!(
                serve(listener(), PATIENT, echo, sleep(ms(1))),
                serve(listener(), PATIENT, echo, sleep(ms(5))),
            );
            assert_eq!((one, other), (Ok(()), Ok(())));
        });
        assert_eq!(pending_timers(), 0);
    });
}

// ── A connection ──

/// In a connection that is dropped with something unread, what the client has not read yet is lost. That
/// is TCP's rule, and what `close` is for.
#[test]
fn close_keeps_the_last_reply_from_being_lost() {
    const MUCH: usize = 200_000;
    on_both(LIMIT, |_| {
        let heard = [false, true].map(|closes| {
            let handler = move |client: Connection| async move {
                client.read(&mut [0; 1]).await?;
                client.write_all(&numbered(MUCH)).await?;
                if closes { client.close().await } else { Ok(()) }
            };
            let listener = listener();
            sys::set_option(&listener, libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 20).unwrap();
            let (end, heard) = served_at(listener, PATIENT, handler, async |place| {
                let mut client = narrow(Client::new(place).await);
                client.says(b"a request, and one that nobody reads").await;
                // All of it is written by then, and the connection gone, or not.
                sleep(ms(100)).await;
                let (mut heard, mut buffer) = (0, [0; 1000]);
                loop {
                    match client.stream.read(&mut buffer).await {
                        Ok(0) => break (heard, None),
                        Ok(count) => heard += count,
                        Err(error) => break (heard, Some(error.kind())),
                    }
                }
            });
            assert_eq!(end, Ok(()));
            heard
        });
        let [(some, reset), all] = heard;
        assert_eq!(reset, Some(ErrorKind::ConnectionReset));
        assert!(some < MUCH, "{some} bytes arrived in spite of it");
        assert_eq!(all, (MUCH, None));
    });
}

/// Where the client says good-bye too, `close` is over; where it does not, or goes on talking without an
/// end, it is over all the same after a while, and others have their turn meanwhile.
#[test]
fn close_waits_for_the_client_but_not_for_ever() {
    on_both(LIMIT, |_| {
        let times = Rc::new(RefCell::new(Vec::new()));
        let see = times.clone();
        let handler = move |client: Connection| {
            let see = see.clone();
            async move {
                client.read(&mut [0; 1]).await.unwrap();
                // Nothing but the client ends it in less than a second: that is half of its time.
                let closed = {
                    let mut close = std::pin::pin!(client.close());
                    let soon = timeout(ms(1_000), close.as_mut()).await;
                    let late = soon.is_err();
                    let end = if let Ok(end) = soon { end } else { close.await };
                    (late, end.is_ok())
                };
                see.borrow_mut().push(closed);
            }
        };
        let (end, turns) = served(PATIENT, handler, async |place| {
            let mut polite = Client::new(place).await;
            polite.says(b"!").await;
            assert_eq!(polite.rest().await, b"");
            drop(polite);
            until(|| times.borrow().len() == 1).await;

            let mut silent = Client::new(place).await;
            silent.says(b"!").await;
            let talker = thread::spawn({
                let mut stream = Client::new(place).await.into_std();
                move || while stream.write_all(&[7; 4096]).is_ok() {}
            });
            let mut turns = 0;
            while !talker.is_finished() || times.borrow().len() < 3 {
                sleep(ms(1)).await;
                turns += 1;
            }
            turns
        });
        assert_eq!(end, Ok(()));
        assert_eq!(*times.borrow(), [(false, true), (true, true), (true, true)]);
        assert!(turns > 5, "{turns} turns for the others");
    });
}

/// A read that is dropped has read nothing, and one that is over at the end may be called again.
#[test]
fn a_read_that_is_dropped_takes_nothing_with_it() {
    on_both(LIMIT, |_| {
        let handler = |client: Connection| async move {
            let (mut all, mut buffer) = (Vec::new(), [0; 4]);
            loop {
                match timeout(ms(1), client.read(&mut buffer)).await {
                    Ok(count) if count.as_ref().is_ok_and(|count| *count == 0) => break,
                    Ok(count) => all.extend(&buffer[..count.unwrap()]),
                    Err(Elapsed) => {}
                }
            }
            assert_eq!(client.read(&mut buffer).await.unwrap(), 0);
            client.write_all(&all).await.unwrap();
            client.close().await.unwrap();
        };
        let (end, ()) = served(PATIENT, handler, async |place| {
            let mut client = Client::new(place).await;
            for word in ["one ", "and another ", "and the last"] {
                client.says(word.as_bytes()).await;
                sleep(ms(5)).await;
            }
            client.stream.close().await.unwrap();
            assert_eq!(client.rest().await, b"one and another and the last");
        });
        assert_eq!(end, Ok(()));
    });
}

/// It says whose it is, and gives away its socket.
#[test]
fn a_connection_knows_its_client() {
    on_both(LIMIT, |_| {
        let handler = |client: Connection| async move {
            let peer = client.peer_addr();
            let mut stream = client.into_inner();
            assert_eq!(stream.peer_addr().unwrap(), peer);
            stream.write_all(peer.to_string().as_bytes()).await.unwrap();
        };
        let (end, ()) = served(PATIENT, handler, async |place| {
            let mut client = Client::new(place).await;
            let address = client.stream.local_addr().unwrap().to_string();
            assert_eq!(client.rest().await, address.as_bytes());
        });
        assert_eq!(end, Ok(()));
    });
}

// ── RESP ──

/// Requests as they may be sent: arrays, lines, empty ones, words of any bytes.
const SCRIPT: &[u8] = b"*1\r\n$4\r\nPING\r\n\
    *3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\n*1\r\n$4\r\nPING\r\n\
    PING\r\n\r\n  GET \t k  \n\
    *0\r\n*-1\r\n*2\r\n$0\r\n\r\n$3\r\n\0\xff\n\r\n\
    *1\n$2\nab\r\nlast one\r\n";

/// What stands in [`SCRIPT`].
fn requests_of_the_script() -> Vec<Request> {
    let requests: &[&[&[u8]]] = &[
        &[b"PING"],
        &[b"SET", b"k", b"*1\r\n$4\r\nPING"],
        &[b"PING"],
        &[],
        &[b"GET", b"k"],
        &[b"", b"\0\xff\n"],
        &[b"ab"],
        &[b"last", b"one"],
    ];
    requests.iter().map(|words| words.iter().map(|word| word.to_vec()).collect()).collect()
}

/// All requests of what comes in these pieces, and what is wrong in the end.
fn parsed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Request>, Option<Violation>) {
    let (mut parser, mut requests) = (Parser::default(), Vec::new());
    for piece in pieces {
        parser.push(piece);
        loop {
            match parser.next_request() {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(violation) => return (requests, Some(violation)),
            }
        }
    }
    (requests, None)
}

/// However a script is cut, its requests are the same: whole, in two at every place, and byte by byte.
#[test]
fn a_cut_changes_no_request() {
    let needed = (requests_of_the_script(), None);
    assert_eq!(parsed([SCRIPT]), needed);
    for cut in 0..=SCRIPT.len() {
        let (head, tail) = SCRIPT.split_at(cut);
        assert_eq!(parsed([head, tail]), needed, "cut after {cut} bytes");
        for second in 0..=tail.len() {
            let (middle, tail) = tail.split_at(second);
            assert_eq!(parsed([head, middle, tail]), needed, "cut after {cut} and {second} bytes");
        }
    }
    assert_eq!(parsed(SCRIPT.chunks(1)), needed);
}

/// What is wrong is said, wherever it is cut.
#[test]
fn what_is_wrong_is_said() {
    let table: &[(&[u8], &str)] = &[
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*9223372036854775808\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$'"),
        (b"*1\r\n\r\n", "expected '$'"),
        (b"*2\r\n$1\r\na\r\n:1\r\n", "expected '$'"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$16777217\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        (b"*2\r\n$1\r\na\r\n$16777216\r\n", "invalid bulk length"),
    ];
    for (bytes, violation) in table {
        let after = [b"PING\r\n", *bytes].concat();
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(parsed([*bytes]), (vec![], Some(*violation)), "{shown:?}");
        let needed = (vec![vec![b"PING".to_vec()]], Some(*violation));
        assert_eq!(parsed(after.chunks(1)), needed, "{shown:?}, byte by byte");
    }
}

/// A line has 64 KiB at most, and it makes no difference whether its end is there already.
#[test]
fn a_line_that_is_too_long_is_refused() {
    const MOST: usize = 64 << 10;
    for first in [b'x', b'*', b'$'] {
        let mut line = vec![b'1'; MOST + 1];
        line[0] = first;
        let head = if first == b'$' { &b"*1\r\n"[..] } else { b"" };
        let whole = [head, &line, b"\r\n"].concat();
        for size in [whole.len(), 4096, 1000] {
            let (requests, violation) = parsed(whole.chunks(size));
            assert_eq!((requests.len(), violation), (0, Some("too big inline request")), "{size}");
        }
    }
    let longest = [&[b'x'; MOST - 1][..], b"\r\n"].concat();
    for size in [longest.len(), 4096, 1000] {
        let (requests, violation) = parsed(longest.chunks(size));
        assert_eq!((requests[0][0].len(), violation), (MOST - 1, None));
    }
}

/// A request has 16 MiB at most, in one word or in many, and is whole up to there.
#[test]
fn a_request_has_its_limit() {
    const MOST: usize = 16 << 20;
    let word = vec![7; MOST];
    let whole = [b"*3\r\n$0\r\n\r\n$16777216\r\n", &word[..], b"\r\n$0\r\n\r\n"].concat();
    let (requests, violation) = parsed(whole.chunks(4096));
    assert_eq!((requests.len(), violation), (1, None));
    assert!(requests[0] == [vec![], word, vec![]]);
    // The next one has all of the room again.
    let half = [b"*1\r\n$8388609\r\n", &vec![7; (8 << 20) + 1][..], b"\r\n"].concat();
    let (requests, violation) = parsed([&half[..], &half]);
    assert_eq!((requests.len(), violation), (2, None));
    let words =
        [b"*17\r\n", &[b"$1048576\r\n", &vec![7; 1 << 20][..], b"\r\n"].concat().repeat(16)[..]];
    let words = [&words.concat()[..], b"$1\r\n"].concat();
    assert_eq!(parsed([&words[..]]), (vec![], Some("invalid bulk length")));
}

/// What a client announces costs nothing; and when a large request is done with, its memory is free.
#[test]
fn only_what_has_come_takes_room() {
    let before = allocated_bytes();
    let mut parser = Parser::default();
    parser.push(b"*1048576\r\n$16777216\r\n");
    assert_eq!(parser.next_request(), Ok(None));
    let announced = allocated_bytes() - before;
    assert!(announced < 1_000, "{announced} bytes for what was only announced");
    drop(parser);

    let mut parser = Parser::default();
    let large = [b"*1\r\n$16000000\r\n", &vec![7; 16_000_000][..], b"\r\n"].concat();
    for piece in large.chunks(4096) {
        parser.push(piece);
        let request = parser.next_request();
        drop(request.unwrap());
    }
    assert_eq!(parser.next_request(), Ok(None));
    drop(large);
    let kept = allocated_bytes() - before;
    assert!(kept < 200_000, "{kept} bytes are kept by a client that is idle");
    parser.push(b"PING\r\n");
    assert_eq!(parser.next_request(), Ok(Some(vec![b"PING".to_vec()])));
}

/// Any bytes: there is no panic, and where they are cut changes neither the requests nor the violation.
#[test]
fn no_bytes_are_too_much_for_it() {
    const ALPHABET: &[u8] = b"**$$\r\n\r\n\r\n\r\n0123-+ a\0\xff";
    let mut random = Random(15);
    let mut seen = [0, 0];
    for round in 0..100_000 {
        let length = random.below(40) as usize;
        let mut bytes = (0..length)
            .map(|_| match round % 2 {
                0 => ALPHABET[random.below(ALPHABET.len() as u32) as usize],
                _ => random.below(256) as u8,
            })
            .collect::<Vec<_>>();
        if round % 4 == 0 {
            // A script with a mistake in it goes further.
            let at = random.below(SCRIPT.len() as u32) as usize;
            bytes.truncate(3);
            bytes = [&SCRIPT[..at], &bytes, &SCRIPT[at..]].concat();
        }
        let whole = parsed([&bytes[..]]);
        seen[usize::from(whole.1.is_some())] += 1;
        let cut = random.below(bytes.len() as u32 + 1) as usize;
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(parsed([head, tail]), whole, "cut after {cut}: {bytes:?}");
        assert_eq!(parsed(bytes.chunks(1)), whole, "{bytes:?}");
    }
    println!("{seen:?}: without a violation, with one");
    assert!(seen.iter().all(|count| *count > 10_000), "{seen:?}");
}

/// Eight times as many words or requests take eight times as long: 64 times would be the square. And it
/// hardly matters in what pieces they come, nor for one large word.
#[test]
fn it_takes_time_in_proportion() {
    // What this thread has worked: it may have to wait for a processor.
    let time = |bytes: &[u8], size: usize| {
        let start = Instant::now();
        let worked = || thread_cpu_time().unwrap_or_else(|| start.elapsed());
        let once = |_| {
            let before = worked();
            assert!(parsed(bytes.chunks(size)).1.is_none());
            (worked() - before).as_secs_f64()
        };
        (0..3).map(once).fold(f64::MAX, f64::min)
    };
    let word = [b"*1\r\n", &bulk(&vec![7; 4_000_000])[..]].concat();
    let words = |n: usize| [format!("*{n}\r\n").as_bytes(), &bulk(&[7; 10]).repeat(n)].concat();
    let requests = |n| b"PING\r\n".repeat(n);
    for (name, few, many) in [
        ("words", words(25_000), words(200_000)),
        ("requests", requests(25_000), requests(200_000)),
    ] {
        let (few, many) = (time(&few, few.len()), time(&many, many.len()));
        println!("eight times as many {name} take {:.1} times as long", many / few);
        assert!(many / few < 40.0, "{name}: {:.1} times", many / few);
    }
    for (name, bytes) in
        [("word", word), ("words", words(200_000)), ("requests", requests(200_000))]
    {
        let (whole, pieces) = (time(&bytes, bytes.len()), time(&bytes, 4096));
        println!("{name}, in pieces, {:.1} times as long", pieces / whole);
        assert!(pieces / whole < 25.0, "{name}: {:.1} times", pieces / whole);
    }
}

/// A word as it is sent.
fn bulk(word: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat()
}

#[test]
fn replies_have_their_bytes() {
    let table: [(Reply<'_>, &[u8]); 10] = [
        (Reply::Simple("OK"), b"+OK\r\n"),
        (Reply::Error("syntax error"), b"-ERR syntax error\r\n"),
        (Reply::Integer(-42), b":-42\r\n"),
        (Reply::Integer(i64::MIN), b":-9223372036854775808\r\n"),
        (Reply::count(7), b":7\r\n"),
        (Reply::Bulk(None), b"$-1\r\n"),
        (Reply::Bulk(Some(b"")), b"$0\r\n\r\n"),
        (Reply::Bulk(Some(b"\r\n\0")), b"$3\r\n\r\n\0\r\n"),
        (Reply::Bytes(b"as it is".to_vec()), b"as it is"),
        (
            Reply::Array(vec![Reply::Array(vec![]), Reply::Bulk(Some(b"x")), Reply::Integer(0)]),
            b"*3\r\n*0\r\n$1\r\nx\r\n:0\r\n",
        ),
    ];
    for (reply, bytes) in table {
        let mut out = b"before ".to_vec();
        reply.write(&mut out);
        assert_eq!(out, [b"before ", bytes].concat(), "{reply:?}");
    }
}

/// There is one way to write a number.
#[test]
fn a_number_is_written_in_one_way() {
    for number in [0, 1, -1, 10, -10, i64::MAX, i64::MIN] {
        assert_eq!(integer(number.to_string().as_bytes()), Some(number));
    }
    let others: &[&[u8]] = &[
        b"",
        b"-",
        b"+",
        b"+1",
        b"01",
        b"-01",
        b"-0",
        b"00",
        b" 1",
        b"1 ",
        b"1.0",
        b"1e3",
        b"0x1",
        b"--1",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"\xff",
        "١".as_bytes(),
    ];
    for text in others {
        assert_eq!(integer(text), None, "{:?}", String::from_utf8_lossy(text));
    }
}

// ── Commands ──

/// What a client is told, without the ends of lines, for words that are separated by spaces.
fn run(db: &mut Db, request: &str) -> String {
    let words = request.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut out = Vec::new();
    db.execute(1, &words).write(&mut out);
    String::from_utf8(out).unwrap().replace("\r\n", " ").trim_end().to_owned()
}

/// Runs requests one after the other, and compares.
fn script(db: &mut Db, script: &[(&str, &str)]) {
    let replies = script.iter().map(|(request, _)| run(db, request)).collect::<Vec<_>>();
    compare(script, &replies);
}

/// `~100` stands for a number of seconds that was 100: some may have passed.
fn compare(script: &[(&str, &str)], replies: &[String]) {
    for ((request, needed), reply) in script.iter().zip(replies) {
        if let Some(seconds) = needed.strip_prefix('~') {
            let (most, left) = (seconds.parse::<u64>().unwrap(), reply[1..].parse::<u64>());
            assert!(left.is_ok_and(|left| (most / 2..=most).contains(&left)), "{request}: {reply}");
        } else {
            assert_eq!(reply, needed, "{request}");
        }
    }
}

/// How long the keys below last that are to be over soon.
const SOON: Duration = Duration::from_millis(15);

/// What stands there after `script`, when the time of the keys that last [`SOON`] is over.
fn later(script: &[(&str, &str)]) -> Db {
    loop {
        let (mut db, start) = (Db::default(), Instant::now());
        let replies = script.iter().map(|(request, _)| run(&mut db, request)).collect::<Vec<_>>();
        // Otherwise the machine was so slow that it was over before.
        if start.elapsed() < SOON {
            compare(script, &replies);
            thread::sleep(SOON);
            return db;
        }
    }
}

const UNKNOWN: &str = "-ERR unknown command, or wrong number of arguments";
const NO_INTEGER: &str = "-ERR value is not an integer or out of range";
const OVERFLOW: &str = "-ERR increment or decrement would overflow";
const SYNTAX: &str = "-ERR syntax error";
const NO_TIME: &str = "-ERR invalid expire time";

#[test]
fn commands_do_what_they_do() {
    let mut db = Db::default();
    script(
        &mut db,
        &[
            ("PING", "+PONG"),
            ("ping", "+PONG"),
            ("PiNg hello", "$5 hello"),
            ("ECHO hello", "$5 hello"),
            ("GET k", "$-1"),
            ("SET k v", "+OK"),
            ("GET k", "$1 v"),
            ("SET k w", "+OK"),
            ("GET k", "$1 w"),
            ("GET K", "$-1"),
            ("MGET k none k", "*3 $1 w $-1 $1 w"),
            ("SET k x NX", "$-1"),
            ("GET k", "$1 w"),
            ("SET l x nx", "+OK"),
            ("SET l y NX nx", "$-1"),
            ("DEL none", ":0"),
            ("DEL k none l k", ":2"),
            ("MGET k", "*1 $-1"),
            ("INCR n", ":1"),
            ("incr n", ":2"),
            ("GET n", "$1 2"),
            ("SET n -1", "+OK"),
            ("INCR n", ":0"),
            ("SET n 9223372036854775806", "+OK"),
            ("INCR n", ":9223372036854775807"),
            ("INCR n", OVERFLOW),
            ("GET n", "$19 9223372036854775807"),
            ("SET n 1x", "+OK"),
            ("INCR n", NO_INTEGER),
            ("GET n", "$2 1x"),
            ("EXPIRE none 10", ":0"),
            ("TTL none", ":-2"),
            ("TTL n", ":-1"),
            ("EXPIRE n 100", ":1"),
            ("TTL n", "~100"),
            ("EXPIRE n 0", ":1"),
            ("GET n", "$-1"),
            ("SET n 1 EX 100", "+OK"),
            ("EXPIRE n -1", ":1"),
            ("TTL n", ":-2"),
            ("PUBLISH nobody hello", ":0"),
        ],
    );
    // A client that is not there, or has had to go, is told nothing.
    script(&mut db, &[("SUBSCRIBE a", ""), ("UNSUBSCRIBE", ""), ("PUBLISH a b", ":0")]);
    let mut out = Vec::new();
    db.execute(1, &[]).write(&mut out);
    assert_eq!(out, b"", "an empty line has no answer");
}

/// What is wrong with a request is said, and nothing is changed.
#[test]
fn what_cannot_be_done_changes_nothing() {
    let mut db = Db::default();
    script(&mut db, &[("SET k v EX 100", "+OK")]);
    let words =
        ["NOSUCH", "PING a b", "ECHO", "ECHO a b", "GET", "GET a b", "MGET", "SET", "SET k"];
    let more = ["DEL", "INCR", "INCR a b", "EXPIRE k", "TTL", "TTL a b", "PUBLISH a", "SUBSCRIBE"];
    for request in words.into_iter().chain(more) {
        assert_eq!(run(&mut db, request), UNKNOWN, "{request}");
    }
    for options in [
        "x",
        "EX",
        "PX",
        "NX EX",
        "EX 10 x",
        "NX x",
        "EX 10 EX",
        "EX 10 PX 10",
        "PX 1 EX 1",
        "EX 1 EX 1",
    ] {
        assert_eq!(run(&mut db, &format!("SET k w {options}")), SYNTAX, "{options}");
    }
    for time in ["0", "-1", "-9223372036854775808"] {
        assert_eq!(run(&mut db, &format!("SET k w EX {time}")), NO_TIME, "{time}");
        assert_eq!(run(&mut db, &format!("SET k w PX {time} NX")), NO_TIME, "{time}");
    }
    for time in ["", "x", "1.5", "01", "9223372036854775808"] {
        assert_eq!(run(&mut db, &format!("SET k w EX {time}")), NO_INTEGER, "{time}");
        assert_eq!(run(&mut db, &format!("EXPIRE k {time}")), NO_INTEGER, "{time}");
        assert_eq!(run(&mut db, &format!("EXPIRE none {time}")), NO_INTEGER, "{time}");
    }
    let most = i64::MAX;
    script(
        &mut db,
        &[
            (&format!("SET k w EX {most}"), NO_TIME),
            (&format!("EXPIRE k {most}"), NO_TIME),
            (&format!("EXPIRE none {most}"), NO_TIME),
            ("GET k", "$1 v"),
            ("TTL k", "~100"),
        ],
    );
}

/// A key that is over is not there, whoever asks; and what stands there next has no deadline of its own.
#[test]
fn a_key_that_is_over_is_never_seen() {
    let over = |commands: &[(&str, &str)]| {
        let mut db = later(&[
            ("SET k 5 PX 15", "+OK"),
            ("SET l 5", "+OK"),
            ("SET other 1 EX 100", "+OK"),
            ("GET k", "$1 5"),
        ]);
        script(&mut db, commands);
        script(&mut db, &[("GET l", "$1 5"), ("TTL other", "~100")]);
    };
    over(&[("GET k", "$-1")]);
    over(&[("MGET l k", "*2 $1 5 $-1")]);
    over(&[("TTL k", ":-2")]);
    over(&[("EXPIRE k 100", ":0"), ("GET k", "$-1")]);
    over(&[("DEL k", ":0")]);
    over(&[("INCR k", ":1"), ("TTL k", ":-1")]);
    over(&[("SET k 6 NX", "+OK"), ("GET k", "$1 6"), ("TTL k", ":-1")]);
    over(&[("PING", "+PONG"), ("SET k 6 EX 10", "+OK"), ("TTL k", "~10")]);
}

/// A deadline belongs to its key: INCR keeps it, SET and DEL end it, and a new one takes its place. An
/// older one takes nothing with it.
#[test]
fn a_deadline_is_that_of_the_latest_command() {
    let mut db = later(&[
        ("SET kept 1 PX 15", "+OK"),
        ("INCR kept", ":2"),
        ("SET cleared 1 PX 15", "+OK"),
        ("SET cleared 2", "+OK"),
        ("SET deleted 1 PX 15", "+OK"),
        ("DEL deleted", ":1"),
        ("SET deleted 2", "+OK"),
        ("SET longer 1 PX 15", "+OK"),
        ("EXPIRE longer 100", ":1"),
        ("SET refused 1", "+OK"),
        ("SET refused 2 NX PX 15", "$-1"),
        ("SET failed x PX 15", "+OK"),
        ("INCR failed", NO_INTEGER),
        ("SET shorter 1 EX 100", "+OK"),
        ("SET shorter 2 PX 15", "+OK"),
    ]);
    script(
        &mut db,
        &[
            ("GET kept", "$-1"),
            ("GET cleared", "$1 2"),
            ("TTL cleared", ":-1"),
            ("GET deleted", "$1 2"),
            ("TTL longer", "~100"),
            ("GET refused", "$1 1"),
            ("TTL refused", ":-1"),
            ("GET failed", "$-1"),
            ("GET shorter", "$-1"),
        ],
    );
}

/// A value is there to the last moment, and TTL says its time to the nearest second.
#[test]
fn a_key_lasts_as_long_as_it_was_to() {
    let mut db = Db::default();
    let start = Instant::now();
    script(&mut db, &[("SET k v PX 30", "+OK")]);
    loop {
        let found = run(&mut db, "GET k");
        match start.elapsed() {
            time if time < ms(30) => assert_eq!(found, "$1 v", "after {time:?}"),
            _ if found == "$-1" => break,
            time => assert!(time < Duration::from_secs(5), "it is still there after {time:?}"),
        }
    }
    let nearest = |time: Duration| (time + ms(500)).as_secs();
    for time in [10_400, 9_700, 1_400, 600] {
        let start = Instant::now();
        script(&mut db, &[(&format!("SET k v PX {time}"), "+OK")]);
        let left = run(&mut db, "TTL k")[1..].parse::<u64>();
        let least = nearest(ms(time).saturating_sub(start.elapsed()));
        assert!(left.is_ok_and(|left| (least..=nearest(ms(time))).contains(&left)), "{time} ms");
    }
}

// ── Channels ──

/// Messages go to those who listen, in the order in which they were published. Who listens no more, or is
/// gone, gets none.
#[test]
fn messages_go_to_those_who_listen() {
    on_both(LIMIT, |_| {
        let (end, ()) = served_by_redis(PATIENT, async |place| {
            let mut speaker = Client::new(place).await;
            let (mut one, mut two) = (Client::new(place).await, Client::new(place).await);
            one.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
            one.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
            let both = [change("subscribe", "b", 1), change("subscribe", "a", 2)].concat();
            two.asks(b"SUBSCRIBE b a\r\n", &both).await;
            speaker.asks(b"PUBLISH a x\r\nPUBLISH b y\r\n", b":2\r\n:1\r\n").await;
            speaker.asks(b"PUBLISH c z\r\nPUBLISH a !\r\n", b":0\r\n:2\r\n").await;
            one.hears(&[message("a", "x"), message("a", "!")].concat()).await;
            two.hears(&[message("a", "x"), message("b", "y"), message("a", "!")].concat()).await;

            // A channel that it does not listen to, and then all that it does.
            let none = change("unsubscribe", "z", 2);
            two.asks(b"UNSUBSCRIBE z\r\n", &none).await;
            two.asks(b"UNSUBSCRIBE b\r\n", &change("unsubscribe", "b", 1)).await;
            speaker.asks(b"PUBLISH b y\r\nPUBLISH a x\r\n", b":0\r\n:2\r\n").await;
            one.hears(&message("a", "x")).await;
            two.hears(&message("a", "x")).await;
            two.asks(b"SUBSCRIBE c\r\n", &change("subscribe", "c", 2)).await;
            let all = [change("unsubscribe", "a", 1), change("unsubscribe", "c", 0)].concat();
            two.asks(b"UNSUBSCRIBE\r\n", &all).await;
            let none = b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n";
            two.asks(b"UNSUBSCRIBE\r\n", none).await;
            two.asks(b"PING\r\n", b"+PONG\r\n").await;

            speaker.asks(b"PUBLISH a x\r\n", b":1\r\n").await;
            one.hears(&message("a", "x")).await;
            drop(one);
            // The server hears of it in its time.
            loop {
                speaker.says(b"PUBLISH a x\r\n").await;
                let mut reply = [0; 4];
                speaker.stream.read_exact(&mut reply).await.unwrap();
                match &reply {
                    b":0\r\n" => break,
                    b":1\r\n" => sleep(ms(1)).await,
                    _ => panic!("{reply:?}"),
                }
            }
            two.asks(b"PING\r\n", b"+PONG\r\n").await;
        });
        assert_eq!(end, Ok(()));
    });
}

/// What a client is told of a change in what it listens to.
fn change(kind: &str, channel: &str, left: usize) -> Vec<u8> {
    let left = format!(":{left}\r\n");
    [b"*3\r\n", &bulk(kind.as_bytes())[..], &bulk(channel.as_bytes()), left.as_bytes()].concat()
}

/// A message as it is sent to those who listen.
fn message(channel: &str, text: &str) -> Vec<u8> {
    let words = ["message", channel, text].map(|word| bulk(word.as_bytes()));
    [b"*3\r\n", &words.concat()[..]].concat()
}

/// Once a client is told that it does not listen any more, no message follows: it would take that for the
/// reply to its next request.
#[test]
fn after_the_end_of_a_subscription_no_message_comes() {
    on_both(LIMIT, |_| {
        for _ in 0..50 {
            let (end, ()) = served_by_redis(PATIENT, async |place| {
                let (mut one, mut two) = (Client::new(place).await, Client::new(place).await);
                one.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
                two.asks(b"PING\r\n", b"+PONG\r\n").await;
                // All of it is there before the server has its turn.
                two.says(&b"PUBLISH a x\r\n".repeat(20)).await;
                two.wait_until_it_has_arrived();
                one.says(b"UNSUBSCRIBE a\r\nPING\r\n").await;
                one.wait_until_it_has_arrived();
                let mut heard = Vec::new();
                while !heard.windows(7).any(|bytes| bytes == b"+PONG\r\n") {
                    let mut bytes = [0; 4096];
                    let count = one.stream.read(&mut bytes).await.unwrap();
                    assert!(count > 0);
                    heard.extend(&bytes[..count]);
                }
                heard.extend(one.nothing_more().await);
                let end = [change("unsubscribe", "a", 0), b"+PONG\r\n".to_vec()].concat();
                let shown = String::from_utf8_lossy(&heard);
                assert!(heard.ends_with(&end), "{shown:?}");
                let messages = &heard[..heard.len() - end.len()];
                let of_one = message("a", "x");
                assert!(messages.chunks(of_one.len()).all(|one| one == of_one), "{shown:?}");
            });
            assert_eq!(end, Ok(()));
        }
    });
}

/// What is published while the end is under way is delivered, too, or its publisher is told that nobody
/// listens any more.
#[test]
fn what_is_published_at_the_end_is_delivered() {
    on_both(LIMIT, |_| {
        let (mut published, mut delivered) = (0, 0);
        for _ in 0..30 {
            let (end, ()) = served_by_redis(PATIENT, async |place| {
                let (mut one, mut two) = (Client::new(place).await, Client::new(place).await);
                one.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
                two.asks(b"PING\r\n", b"+PONG\r\n").await;
                two.says(&b"PUBLISH a x\r\n".repeat(20)).await;
                two.wait_until_it_has_arrived();
                place.stop.cancel();
                let (heard, told) = join!(one.rest(), two.rest());
                assert_eq!(told.len(), 20 * 4);
                published += told.iter().filter(|byte| **byte == b'1').count();
                delivered += heard.len() / message("a", "x").len();
            });
            assert_eq!(end, Ok(()));
        }
        println!("{published} of {} messages were published", 30 * 20);
        assert_eq!(published, delivered);
    });
}

/// Who listens may stop to, also when for every message that it hears another one is published: some
/// hundreds wait for it all the time.
#[test]
fn who_listens_may_stop_though_messages_keep_coming() {
    on_both(LIMIT, |_| {
        let text = "x".repeat(1_000);
        let (end, ()) = served_at(narrow_listener(), PATIENT, redis(), async |place| {
            let (mut slow, mut speaker) =
                (narrow(Client::new(place).await), Client::new(place).await);
            slow.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
            let request = format!("PUBLISH a {text}\r\n");
            for _ in 0..500 {
                speaker.asks(request.as_bytes(), b":1\r\n").await;
            }
            slow.says(b"UNSUBSCRIBE a\r\n").await;
            let (mut heard, mut bytes, mut published) = (Vec::new(), [0; 1_000], 500);
            let end = change("unsubscribe", "a", 0);
            while !heard.ends_with(&end) {
                let count = slow.stream.read(&mut bytes).await.unwrap();
                heard.extend(&bytes[..count]);
                speaker.says(request.as_bytes()).await;
                speaker.hears_so_much(4).await;
                published += 1;
                assert!(published < 10_000, "and it still listens");
            }
            println!("it was over after {published} messages");
        });
        assert_eq!(end, Ok(()));
    });
}

/// Messages that were published when the end comes are delivered: whoever published them was told so.
#[test]
fn what_was_published_by_the_end_is_delivered() {
    const MESSAGES: usize = 200;
    on_both(LIMIT, |_| {
        let text = "x".repeat(1_000);
        for _ in 0..5 {
            let (end, ()) = served_at(narrow_listener(), PATIENT, redis(), async |place| {
                let (mut slow, mut speaker) =
                    (narrow(Client::new(place).await), Client::new(place).await);
                slow.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
                for _ in 0..MESSAGES {
                    speaker.asks(format!("PUBLISH a {text}\r\n").as_bytes(), b":1\r\n").await;
                }
                // It has not listened so far, so most of them are waiting.
                place.stop.cancel();
                let rest = slow.rest().await;
                assert_eq!(rest.len(), message("a", &text).len() * MESSAGES);
            });
            assert_eq!(end, Ok(()));
        }
    });
}

/// Who subscribes and does not listen is let go: from then on the publisher is told so, and was never held
/// up. It still gets what it had room for, if it listens in the end; and others get all of it.
#[test]
fn a_slow_subscriber_is_let_go() {
    on_both(LIMIT, |_| {
        let (end, ()) = served_at(narrow_listener(), PATIENT, redis(), async |place| {
            let (mut slow, mut well) = (narrow(Client::new(place).await), Client::new(place).await);
            let mut speaker = Client::new(place).await;
            slow.asks(
                b"SUBSCRIBE a b\r\n",
                &[change("subscribe", "a", 1), change("subscribe", "b", 2)].concat(),
            )
            .await;
            well.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
            let text = "x".repeat(1_000);
            let (request, one) = (format!("PUBLISH a {text}\r\n"), message("a", &text));
            let mut published = 0;
            loop {
                let mut reply = [0; 4];
                speaker.says(request.as_bytes()).await;
                speaker.stream.read_exact(&mut reply).await.unwrap();
                well.hears(&one).await;
                match &reply {
                    b":2\r\n" => published += 1,
                    b":1\r\n" => break,
                    _ => panic!("{reply:?}"),
                }
                assert!(published < 100_000, "and still it has room");
            }
            println!("after {published} messages it was let go");
            speaker.asks(b"PUBLISH b y\r\n", b":0\r\n").await;
            // Whatever it asks for now.
            slow.says(b"UNSUBSCRIBE\r\nSUBSCRIBE b\r\n").await;
            speaker.asks(b"PUBLISH b y\r\n", b":0\r\n").await;
            let rest = slow.rest().await;
            let (whole, all) = (rest.len() / one.len(), one.repeat(published));
            assert!(rest.starts_with(&all), "{whole} of {published} messages, {}", rest.len());
            speaker.asks(request.as_bytes(), b":1\r\n").await;
        });
        assert_eq!(end, Ok(()));
    });
}

/// Whatever a client has listened to and does not any more, or that a client is gone, is forgotten.
#[test]
fn channels_that_nobody_listens_to_are_forgotten() {
    on_both(LIMIT, |_| {
        // It takes memory, too.
        Ledger::close();
        let limits = Limits { connections: 1, ..PATIENT };
        let (end, ()) = served_by_redis(limits, async |place| {
            let mut kept = Vec::new();
            for round in 0..6 {
                let mut client = Client::new(place).await;
                // It is inside, so the one before is gone.
                client.asks(b"PING\r\n", b"+PONG\r\n").await;
                kept.push(allocated_bytes());
                for number in 0..50 {
                    let name = format!("{round}{number:01000}");
                    let told = change("subscribe", &name, 1 + number % 2);
                    client.asks(format!("SUBSCRIBE {name}\r\n").as_bytes(), &told).await;
                    // Every second time it leaves two.
                    if number % 2 == 1 {
                        client.says(b"UNSUBSCRIBE\r\n").await;
                        client.hears_so_much(2 * change("unsubscribe", &name, 1).len()).await;
                    }
                }
                let name = round.to_string().repeat(100_000);
                let request = [b"*2\r\n", &bulk(b"SUBSCRIBE")[..], &bulk(name.as_bytes())];
                client.asks(&request.concat(), &change("subscribe", &name, 1)).await;
            }
            let more = kept[5] - kept[1];
            assert!(more < 20_000, "{more} bytes more for every name there was: {kept:?}");
        });
        assert_eq!(end, Ok(()));
    });
}

/// Who listens needs not say anything; but as soon as it does not listen any more, it does.
#[test]
fn who_listens_may_be_silent() {
    on_both(LIMIT, |_| {
        let limits = Limits { idle: ms(100), ..PATIENT };
        let (end, ()) = served_by_redis(limits, async |place| {
            let mut silent = Client::new(place).await;
            silent.asks(b"SUBSCRIBE a\r\n", &change("subscribe", "a", 1)).await;
            sleep(ms(350)).await;
            let mut speaker = Client::new(place).await;
            speaker.asks(b"PUBLISH a x\r\n", b":1\r\n").await;
            silent.hears(&message("a", "x")).await;
            silent.asks(b"UNSUBSCRIBE\r\n", &change("unsubscribe", "a", 0)).await;
            assert_eq!(silent.rest().await, b"");
        });
        assert_eq!(end, Ok(()));
    });
}

/// What is no request is answered by an error, after the answers to all before it, and that is the end.
#[test]
fn what_is_no_request_ends_the_conversation() {
    on_both(LIMIT, |_| {
        let (end, ()) = served_by_redis(PATIENT, async |place| {
            let mut other = Client::new(place).await;
            for wrong in ["*x\r\n", "*1\r\n:5\r\n", "*1\r\n$x\r\n"] {
                let mut client = Client::new(place).await;
                client.says(format!("PING\r\n{wrong}PING\r\n").as_bytes()).await;
                let told = String::from_utf8(client.rest().await).unwrap();
                assert!(told.starts_with("+PONG\r\n-ERR "), "{told:?}");
                assert_eq!(told.matches("\r\n").count(), 2, "{told:?}");
                other.asks(b"PING\r\n", b"+PONG\r\n").await;
            }
            // 64 KiB without the end of a line; and what comes after them does not undo the answer.
            let mut client = Client::new(place).await;
            client.says(&[b'x'; (64 << 10) + 100_000]).await;
            assert!(client.rest().await.starts_with(b"-ERR "));
        });
        assert_eq!(end, Ok(()));
    });
}

/// However the requests of three clients are cut and mixed, each gets its own replies, in order.
#[test]
fn each_client_gets_its_own_replies_in_order() {
    on_both(LIMIT, |_| {
        let (end, ()) = served_by_redis(PATIENT, async |place| {
            let talk = async |name: u32| {
                let client = Client::new(place).await;
                let (mut random, mut requests, mut replies) = (Random(name.into()), vec![], vec![]);
                for number in 0..300 {
                    let word = format!("{name} {number} ").repeat(1 + random.below(60) as usize);
                    requests.extend([b"*2\r\n$4\r\nECHO\r\n", &bulk(word.as_bytes())[..]].concat());
                    replies.extend(bulk(word.as_bytes()));
                }
                let say = async {
                    let mut left = &requests[..];
                    while !left.is_empty() {
                        let (part, rest) =
                            left.split_at(left.len().min(1 + random.below(3_000) as usize));
                        (&client.stream).write_all(part).await.unwrap();
                        yield_now().await;
                        left = rest;
                    }
                };
                let mut heard = vec![0; replies.len()];
                join!(say, async { (&client.stream).read_exact(&mut heard).await.unwrap() });
                assert!(heard == replies, "client {name} heard something else");
            };
            join!(talk(1), talk(2), talk(3));
        });
        assert_eq!(end, Ok(()));
    });
}

// ── What the tests are made of ──

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits until it holds.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        sleep(ms(1)).await;
    }
}

/// Bytes that tell where they belong.
fn numbered(count: usize) -> Vec<u8> {
    let numbers = (0..count as u32).step_by(4);
    numbers.flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).take(count).collect()
}

fn listener() -> TcpListener {
    TcpListener::bind(ANY).unwrap()
}

/// Where a server is, and what ends it.
struct Place {
    address: SocketAddr,
    stop: CancelToken,
}

impl Place {
    fn of(listener: &TcpListener) -> Self {
        Place { address: listener.local_addr().unwrap(), stop: CancelToken::new() }
    }
}

/// Serves until `clients` has come to an end, or has stopped it: how `serve` ends, and what they give.
fn served<H, F, T>(
    limits: Limits,
    handler: H,
    clients: impl AsyncFnOnce(&Place) -> T,
) -> (Result<(), Elapsed>, T)
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
{
    block_on(async { serve_at(listener(), limits, handler, clients).await })
}

/// The same at a listener that was made ready.
fn served_at<H, F, T>(
    listener: TcpListener,
    limits: Limits,
    handler: H,
    clients: impl AsyncFnOnce(&Place) -> T,
) -> (Result<(), Elapsed>, T)
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
{
    block_on(serve_at(listener, limits, handler, clients))
}

async fn serve_at<H, F, T>(
    listener: TcpListener,
    limits: Limits,
    handler: H,
    clients: impl AsyncFnOnce(&Place) -> T,
) -> (Result<(), Elapsed>, T)
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
{
    let place = Place::of(&listener);
    let clients = async {
        let output = clients(&place).await;
        place.stop.cancel();
        output
    };
    join!(serve(listener, limits, handler, place.stop.cancelled()), clients)
}

/// Serves by the Redis of this layer.
fn served_by_redis<T>(
    limits: Limits,
    clients: impl AsyncFnOnce(&Place) -> T,
) -> (Result<(), Elapsed>, T) {
    served(limits, redis(), clients)
}

/// The handler of a Redis.
fn redis() -> impl Fn(Connection) -> Talk {
    let db = Rc::new(RefCell::new(Db::default()));
    move |client| Box::pin(talk(client, db.clone()))
}

type Talk = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Says what it hears.
async fn echo(client: Connection) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        match client.read(&mut buffer).await? {
            0 => return client.close().await,
            count => client.write_all(&buffer[..count]).await?,
        }
    }
}

async fn read_to_end(client: &Connection, all: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        match client.read(&mut buffer).await? {
            0 => return Ok(()),
            count => all.extend(&buffer[..count]),
        }
    }
}

/// A listener whose connections have little under way. Small segments let a window open bit by bit: with
/// those of this machine to itself, 64 KiB, it may stay closed until a timer of the kernel's asks.
fn narrow_listener() -> TcpListener {
    let listener = narrow(listener());
    sys::set_option(&listener, libc::IPPROTO_TCP, libc::TCP_MAXSEG, 1_400).unwrap();
    listener
}

/// Makes the buffers of a socket small.
fn narrow<T: AsFd>(socket: T) -> T {
    for option in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        sys::set_option(&socket, libc::SOL_SOCKET, option, 16 << 10).unwrap();
    }
    socket
}

/// A client, on the server's thread.
struct Client {
    stream: TcpStream,
}

impl AsFd for Client {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Client {
    async fn new(place: &Place) -> Self {
        Client { stream: TcpStream::connect(place.address).await.unwrap() }
    }

    async fn says(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn hears(&mut self, bytes: &[u8]) {
        let mut heard = vec![0; bytes.len()];
        let result = self.stream.read_exact(&mut heard).await;
        let [heard, needed] = [&heard, bytes].map(String::from_utf8_lossy);
        assert!(result.is_ok() && heard == needed, "{heard:?} ({result:?}) and not {needed:?}");
    }

    async fn hears_so_much(&mut self, count: usize) {
        self.stream.read_exact(&mut vec![0; count]).await.unwrap();
    }

    async fn asks(&mut self, request: &[u8], reply: &[u8]) {
        self.says(request).await;
        self.hears(reply).await;
    }

    /// What comes up to the end.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        rest
    }

    /// What comes in a while, though nothing is to come.
    async fn nothing_more(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 100];
        let count = timeout(ms(3), self.stream.read(&mut bytes)).await.unwrap_or(Ok(0)).unwrap();
        bytes.truncate(count);
        bytes
    }

    /// Holds this thread up until the other side's kernel has all that was said.
    fn wait_until_it_has_arrived(&self) {
        while under_way(&self.stream) > 0 {
            thread::sleep(ms(1));
        }
    }

    /// The same connection, for another thread.
    fn into_std(self) -> net::TcpStream {
        let stream = net::TcpStream::from(self.stream.as_fd().try_clone_to_owned().unwrap());
        stream.set_nonblocking(false).unwrap();
        stream
    }
}

/// How many bytes the other side has not acknowledged yet.
#[cfg(target_os = "linux")]
fn under_way(stream: &TcpStream) -> i32 {
    let mut bytes = 0;
    // SAFETY: the call writes a number into `bytes`, which is ours.
    let result = unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    bytes
}

/// Other systems have other ways to say it: here it takes no time to speak of.
#[cfg(not(target_os = "linux"))]
fn under_way(_: &TcpStream) -> i32 {
    thread::sleep(ms(50));
    0
}
