// The checks of chapter 15. `subject` is the code under examination.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{pending, ready};
use std::io::{ErrorKind, Read, Write};
use std::net;
use std::net::{Shutdown, SocketAddr};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join;

use under_await::ch01_future::yield_now;
use under_await::ch05_handoff::{Receiver as Coming, oneshot};
use under_await::ch09_timer::{Elapsed, pending_timers, sleep, timeout};
use under_await::ch10_net::{TcpListener, TcpStream};
use under_await::ch11_task::{JoinHandle, block_on, spawn};
use under_await::ch13_race::{CancelToken, Either, race};
use under_await::ch14_sync::{Receiver, Semaphore, TryRecvError, channel};
use under_await::ledger::watch;
use under_await::sys;

use crate::support::faults::all;
use crate::support::net::{pair, reset};
use crate::support::{
    Drops, Event, Ledger, allocated_bytes, allocations, checks, ensure, fail, if_it_sleeps, ledger,
    many, scaled, thread_cpu_time,
};

use subject::extend::{Connection as Client, answer_lines, connection, read_line};
use subject::hub::Hub;
use subject::redis::{Db, talk};
use subject::resp::{Parser, Reply, Request, Violation};
use subject::{Connection, Limits, serve};

checks! {
    /// Each connection has a task of its own: one that takes its time holds up nobody.
    "15.1" fn a_silent_client_holds_up_nobody() {
        let (listener, address) = listener();
        block_on(async {
            let _silent = knock(address);
            let second = hear(knock(address));
            let seen = Rc::new(Cell::new(0));
            let serving = seen.clone();
            let handler = move |client: Client| {
                serving.set(serving.get() + 1);
                let first = serving.get() == 1;
                async move { if first { idle(client).await } else { greet(client).await } }
            };
            let server = start(serve(listener, Limits::default(), handler, pending::<()>()));
            let heard = soon(second).await;
            goes_on(&server, "Two clients came");
            ensure!(
                heard.as_deref() == Some("hello"),
                "waits-for-one",
                "Two clients came, and the handler of the first is still at work. {} begun, and the second \
                 client has heard {}. Needed: \"hello\".",
                if seen.get() == 1 { "1 handler has" } else { "2 handlers have" }, said(&heard)
            );
        });
    }

    /// A client is accepted when there is a permit for it; until then it waits outside.
    "15.1" fn a_client_waits_outside_until_there_is_room() {
        let (listener, address) = listener();
        block_on(async {
            let _clients = [(); 3].map(|()| knock(address));
            let (serving, leave) = (Rc::new(Cell::new(0)), Rc::new(Semaphore::new(0)));
            let handler = {
                let (serving, leave) = (serving.clone(), leave.clone());
                move |client: Client| {
                    serving.set(serving.get() + 1);
                    let leave = leave.clone();
                    async move {
                        leave.acquire().await.unwrap().forget();
                        drop(client);
                    }
                }
            };
            let before = descriptors();
            let server = start(serve(listener, room_for(2), handler, pending::<()>()));
            until(|| serving.get() >= 2).await;
            let (timers, polls) = (pending_timers(), ledger().count(Event::Poll));
            turns(500).await;
            let polls = ledger().count(Event::Poll) - polls;
            let accepted = descriptors() - before;
            goes_on(&server, "There is room for 2, and 3 clients came");
            let served = serving.get();
            ensure!(
                served <= 2,
                "no-limit",
                "There is room for 2 connections, 3 clients came, and {served} are being served: a permit was \
                 back before its connection was over."
            );
            ensure!(
                served == 2,
                "waits-for-one",
                "There is room for 2 connections, 3 clients came, and {served} of them served. Needed: 2."
            );
            ensure!(
                accepted <= 2,
                "no-limit",
                "There is room for 2 connections, 3 clients came, and the process has {accepted} descriptors more \
                 than before. Needed: 2. Whoever is accepted without a permit has a socket here, and nobody to \
                 serve it."
            );
            ensure!(
                timers == 0,
                "out-of-step",
                "There is room for 2 connections, 3 clients came, and nothing went wrong. When two of them were being \
                 served, the server waited for a timer: it has to accept as long as there is room, without a pause."
            );
            ensure!(
                polls <= 50,
                "busy-poll",
                "There is room for 2 connections, and 2 are being served. Another task gave way 500 times. Meanwhile \
                 nobody came and nobody left, and the server had {}.",
                many(polls, "poll")
            );
            note("one of them leaves");
            leave.add_permits(1);
            ensure!(
                until(|| serving.get() >= 3).await,
                "not-given-back",
                "There is room for 2 connections, and 3 clients came. One of the first 2 has left, and the third \
                 is not accepted."
            );
        });
    }

    /// However many have come and gone, there is room for as many as in the beginning.
    "15.1" fn the_room_stays_the_same() {
        let (listener, address) = listener();
        block_on(async {
            let clients = [(); 12].map(|()| hear(knock(address)));
            let (serving, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let handler = {
                let (serving, most) = (serving.clone(), most.clone());
                move |client: Client| {
                    let (serving, most) = (serving.clone(), most.clone());
                    async move {
                        serving.set(serving.get() + 1);
                        most.set(serving.get().max(most.get()));
                        sleep(Duration::from_millis(1)).await;
                        greet(client).await;
                        serving.set(serving.get() - 1);
                    }
                }
            };
            let server = start(serve(listener, room_for(2), handler, pending::<()>()));
            let (mut clients, mut heard) = (clients.into_iter(), 0);
            while let Some(client) = clients.next()
                && soon(client).await.as_deref() == Some("hello")
            {
                heard += 1;
            }
            goes_on(&server, "12 clients came");
            let most = most.get();
            ensure!(
                most <= 2,
                "no-limit",
                "There is room for 2 connections. 12 clients came, and {most} were served at a time."
            );
            ensure!(
                heard == 12,
                "not-given-back",
                "There is room for 2 connections. 12 clients came, each was to hear \"hello\", and {heard} did, \
                 but not the next. Who leaves makes room for another."
            );
        });
    }

    /// Of those that have come and gone nothing is left: the server does not grow with their number.
    "15.1" fn who_has_gone_leaves_nothing() {
        const CLIENTS: usize = 200;
        let (listener, address) = listener();
        // The ledger would grow.
        let story = ledger();
        Ledger::close();
        let (gone, grown) = block_on(async {
            let came = Rc::new(Cell::new(0));
            let number = came.clone();
            let handler = move |client: Client| {
                number.set(number.get() + 1);
                async move { drop(client) }
            };
            let server = start(serve(listener, room_for(2), handler, pending::<()>()));
            // Tables grow at first.
            let (mut before, mut tries) = (0, 0);
            for n in 1..=CLIENTS + 50 {
                drop(knock(address));
                while came.get() < n && tries < 200 * n {
                    turns(10).await;
                    tries += 1;
                }
                if n == 50 {
                    before = allocated_bytes();
                }
            }
            turns(100).await;
            let grown = allocated_bytes() - before;
            drop(server);
            (came.get(), grown)
        });
        story.attach();
        ensure!(
            gone == CLIENTS + 50,
            "not-given-back",
            "{} clients came and went, one after the other, and {gone} of them were accepted.", CLIENTS + 50
        );
        ensure!(
            grown < 40 * CLIENTS as i64,
            "no-limit",
            "{CLIENTS} clients came and went, one after the other, and {} bytes of memory are kept of each. A \
             server that runs for a year has no room for them.",
            grown / CLIENTS as i64
        );
    }

    /// An error of accept(2) does not end the server, nor make it spin, nor take its permit.
    "15.1" fn too_many_open_files() {
        accept_fails("EMFILE", &[("accept", libc::EMFILE)]);
    }

    /// The same for whatever accept(2) may say: a firewall has its errors, too.
    "15.1" fn no_error_of_accept_is_the_end() {
        accept_fails("EPERM", &[("accept", libc::EPERM)]);
    }

    /// Nothing that a handler does, or a client, ends the server, or keeps the permit.
    "15.1" fn one_that_goes_wrong_goes_alone() {
        let (listener, address) = listener();
        block_on(async {
            let came = Rc::new(Cell::new(0));
            let number = came.clone();
            let handler = move |client: Client| {
                number.set(number.get() + 1);
                let number = number.get();
                // As a panic, but without its message.
                if number == 1 {
                    resume_unwind(Box::new("before there is a future"));
                }
                async move {
                    match number {
                        2 => resume_unwind(Box::new("in its first poll")),
                        3 => {
                            yield_now().await;
                            resume_unwind(Box::new("after a while"))
                        }
                        4 => drop(client),
                        _ => greet(client).await,
                    }
                }
            };
            let server = start(serve(listener, room_for(1), handler, pending::<()>()));
            let stories = [
                "its handler panicked when it was called",
                "its handler panicked in its first poll",
                "its handler panicked in a later poll",
                "its handler was over at once",
                "it had reset the connection",
            ];
            for (before, what) in stories.iter().enumerate() {
                note("a client comes");
                let client = knock(address);
                let accepted = if before == 4 {
                    reset(client);
                    turns(100).await;
                    // Some systems do not let it in then.
                    true
                } else {
                    let _ = soon(hear(client)).await;
                    until(|| came.get() > before).await
                };
                let over = server.is_finished();
                let nth = before + 1;
                ensure!(!over, "goes-down", "Client {nth} came, {what}, and with that the server was over.");
                ensure!(
                    accepted,
                    "not-given-back",
                    "There is room for 1 connection. Client {before} came, {}. Client {nth} came after that, and \
                     was not accepted.",
                    stories[before.saturating_sub(1)]
                );
            }
            let heard = soon(hear(knock(address))).await;
            goes_on(&server, "A client reset its connection");
            ensure!(
                heard.as_deref() == Some("hello"),
                "not-given-back",
                "There is room for 1 connection. 5 clients have come and gone, and the next has heard {}. \
                 Needed: \"hello\".", said(&heard)
            );
        });
    }

    /// A read gives what has come, and 0 bytes when the client has nothing more to say.
    "15.2" fn a_read_gives_what_has_come() {
        if_it_sleeps(|| (
            "never-woken",
            "Some bytes have come, fewer than the buffer has room for, or it was the end. `read` waits for more.",
        ));
        let (mut client, connection) = subject(HOUR, CancelToken::new());
        block_on(async {
            let mut buffer = [0; 8];
            for sent in ["hello", "a", "12345678"] {
                client.write_all(sent.as_bytes()).unwrap();
                let count = watch("read", connection.read(&mut buffer)).await;
                let seen = format!("{sent:?} was sent, and `read` gave {count:?}");
                ensure!(count.is_ok_and(|count| count == sent.len()), "wrong-result", "{seen}.");
                let read = String::from_utf8_lossy(&buffer[..sent.len()]).into_owned();
                ensure!(read == sent, "wrong-bytes", "{sent:?} was sent, and {read:?} was read.");
            }
            client.shutdown(Shutdown::Write).unwrap();
            let count = watch("read", connection.read(&mut buffer)).await;
            ensure!(
                count.as_ref().is_ok_and(|count| *count == 0),
                "wrong-result",
                "The client has nothing more to say, and `read` gave {count:?}; `Ok(0)` is needed."
            );
        });
        let (client, connection) = subject(HOUR, CancelToken::new());
        reset(client);
        let failed = block_on(connection.read(&mut [0; 8])).map_err(|error| error.kind());
        ensure!(
            failed == Err(ErrorKind::ConnectionReset),
            "misread",
            "The client has reset the connection, and `read` gave {failed:?}."
        );
    }

    /// What has arrived when the server ends is read, all of it. Then it is over.
    "15.2" fn what_has_arrived_comes_before_the_end() {
        const ALL: usize = 300;
        if_it_sleeps(|| (
            "never-woken",
            "The server has ended, and all that had arrived was read. A further `read` waits for its client, which \
             may be silent for an hour. It should give 0 bytes.",
        ));
        for piece in [1, 7, 4096] {
            let ((mut client, server), ending) = (pair(), CancelToken::new());
            let (socket, peer) = (server.try_clone().unwrap(), client.local_addr().unwrap());
            let stream = unrecorded(|| TcpStream::from_std(server).unwrap());
            let connection = Connection::new(stream, peer, HOUR, ending.clone());
            block_on(async {
                let (mut buffer, mut read) = ([0; 4096], 0);
                client.write_all(b"!").unwrap();
                let first = connection.read(&mut buffer).await;
                ensure!(first.is_ok(), "wrong-result", "A byte had arrived, and `read` gave {first:?}.");
                client.write_all(&[b'.'; ALL]).unwrap();
                until(|| socket.peek(&mut [0; ALL]).is_ok_and(|count| count == ALL)).await;
                note("the server ends");
                ending.cancel();
                let end = loop {
                    match watch("read", connection.read(&mut buffer[..piece])).await {
                        Ok(count) if count > 0 => read += count,
                        end => break end.map_err(|error| error.kind()),
                    }
                };
                let seen = format!(
                    "{ALL} bytes had arrived when the server ended. They were read, {} at a time: after {read} of \
                     them `read` gave {end:?}. Needed: all of them, and then Ok(0)",
                    if piece == 1 { "1".to_owned() } else { format!("up to {piece}") }
                );
                ensure!(read == ALL, "data-lost", "{seen}.");
                ensure!(end == Ok(0), "wrong-result", "{seen}.");
            });
        }
    }

    /// A read that waits hears at once that the server ends.
    "15.2" fn who_waits_hears_of_the_end() {
        if_it_sleeps(|| (
            "never-woken",
            "The server ends, and a `read` that waits for its client does not hear of it. The client says \
             nothing and may be silent for an hour.",
        ));
        let ending = CancelToken::new();
        let (_client, connection) = subject(HOUR, ending.clone());
        let mut buffer = [0; 8];
        let (count, ()) = block_on(join(watch("read", connection.read(&mut buffer)), async {
            sleep(Duration::from_millis(5)).await;
            note("the server ends");
            ending.cancel();
        }));
        let count = count.map_err(|error| error.kind());
        ensure!(
            count == Ok(0),
            "wrong-result",
            "There was nothing to read, and the server ended: `read` gave {count:?}. Needed: `Ok(0)`."
        );
    }

    /// A client may be silent for a while, and no longer; each read begins that while anew.
    "15.2" fn silence_has_a_limit() {
        if_it_sleeps(|| (
            "no-limit",
            "A client says nothing. It may be silent for 30 ms, and `read` waits for it without an end.",
        ));
        let limit = Duration::from_millis(30);
        let (_client, connection) = subject(limit, CancelToken::new());
        block_on(async {
            for n in 1..3 {
                let begun = Instant::now();
                let count = watch("read", connection.read(&mut [0; 8])).await.map_err(|error| error.kind());
                let spent = begun.elapsed();
                let nth = ["", "first", "second"][n];
                ensure!(
                    count == Err(ErrorKind::TimedOut),
                    "wrong-result",
                    "A client said nothing for 30 ms, and its {nth} `read` gave {count:?}; the error `TimedOut` \
                     is needed."
                );
                ensure!(
                    spent >= limit,
                    "too-early",
                    "A client may be silent for 30 ms. Its {nth} `read` lost patience after {} ms.",
                    spent.as_millis()
                );
            }
        });
        let (mut client, connection) = subject(HOUR, CancelToken::new());
        let count = block_on(async {
            let mut buffer = [0; 8];
            let speaks = async {
                sleep(Duration::from_millis(10)).await;
                client.write_all(b"!").unwrap();
            };
            join(connection.read(&mut buffer), speaks).await.0.map_err(|error| error.kind())
        });
        ensure!(
            count == Ok(1),
            "wrong-result",
            "A client sent a byte after 10 ms. It may be silent for an hour, and `read` gave {count:?}."
        );
    }

    /// What has come counts, even if the thread looks only when the time is over, too.
    "15.2" fn who_has_spoken_is_not_silent() {
        let limit = Duration::from_millis(5);
        for _ in 0..12 {
            let (mut client, connection) = subject(limit, CancelToken::new());
            let mut buffer = [0; 8];
            let others = async {
                client.write_all(b"!").unwrap();
                note("another task takes its time");
                thread::sleep(4 * limit);
            };
            let (count, ()) = block_on(join(watch("read", connection.read(&mut buffer)), others));
            let count = count.map_err(|error| error.kind());
            ensure!(
                count == Ok(1),
                "data-lost",
                "A client may be silent for 5 ms. It sent a byte within that time, and another task had the thread \
                 until long after it. Then both were there, the byte and the end of the time, and `read` gave \
                 {count:?}. Needed: `Ok(1)`."
            );
        }
    }

    /// How long a client may be silent is what its connection was made with.
    "15.2" fn each_connection_has_its_own_limit() {
        let (_client, connection) = subject(Duration::from_millis(10), CancelToken::new());
        let mut buffer = [0; 8];
        let read = watch("read", connection.read(&mut buffer));
        let first = block_on(race(read, sleep(Duration::from_millis(50))));
        ensure!(
            matches!(first, Either::Left(_)),
            "no-limit",
            "A client may be silent for 10 ms. It said nothing, and `read` still waited when a `sleep` of 50 ms, \
             begun after it, was over."
        );
        let (_client, connection) = subject(HOUR, CancelToken::new());
        let read = watch("read", connection.read(&mut buffer));
        let first = block_on(race(read, sleep(Duration::from_millis(150))));
        ensure!(
            matches!(first, Either::Right(())),
            "too-early",
            "A client may be silent for an hour. It said nothing, and a `sleep` of 150 ms was to be over first: \
             `read` was."
        );
    }

    /// Dropped before it is ready, a read has taken nothing.
    "15.2" fn a_dropped_read_has_taken_nothing() {
        for polls in 1..6 {
            let (mut client, connection) = subject(HOUR, CancelToken::new());
            let mut heard = Vec::new();
            for word in ["one ", "two ", "three"] {
                let mut buffer = [0; 8];
                let mut read = Box::pin(watch("read", connection.read(&mut buffer)));
                let mut answer = poll_times(read.as_mut(), 1);
                client.write_all(word.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(1));
                answer = answer.or_else(|| poll_times(read.as_mut(), polls));
                drop(read);
                if let Some(Ok(count)) = answer {
                    heard.extend_from_slice(&buffer[..count]);
                }
                note("the read is dropped");
            }
            client.shutdown(Shutdown::Write).unwrap();
            let mut buffer = [0; 8];
            while let Ok(count) = block_on(connection.read(&mut buffer))
                && count > 0
            {
                heard.extend_from_slice(&buffer[..count]);
            }
            let heard = String::from_utf8_lossy(&heard).into_owned();
            ensure!(
                heard == "one two three",
                "data-lost",
                "\"one \", \"two \" and \"three\" were sent. For each there was a `read`, which was dropped \
                 after {} if it was not ready by then. In the end {heard:?} had been read.",
                many(polls + 1, "poll")
            );
        }
    }

    /// When the server ends, each connection is told, and has time to come to its end.
    "15.3" with "15.1" "15.2" fn who_is_there_is_heard_out() {
        let (listener, address) = listener();
        let story = ledger();
        Ledger::close();
        block_on(async {
            let clients = [(); 3].map(|()| hear(knock(address)));
            let (told, over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let (shut, shutdown) = oneshot();
            let (serving, begun) = (told.clone(), Rc::new(Cell::new(0)));
            let handler = {
                let (over, begun) = (over.clone(), begun.clone());
                move |client: Client| {
                    let (told, over, begun) = (serving.clone(), over.clone(), begun.clone());
                    async move {
                        begun.set(begun.get() + 1);
                        until_told(&client).await;
                        note("a connection is told");
                        told.set(told.get() + 1);
                        // It has something to write down first, say.
                        sleep(Duration::from_millis(20)).await;
                        note("a connection comes to its end");
                        over.set(over.get() + 1);
                        greet(client).await;
                    }
                }
            };
            let limits = Limits { idle: HOUR, grace: HOUR, ..Limits::default() };
            let (seen, done) = (told.clone(), over.clone());
            let server = start(async move {
                let end = serve(listener, limits, handler, shutdown).await;
                note("`serve` returns");
                (end, seen.get(), done.get())
            });
            until(|| begun.get() == 3).await;
            story.attach();
            note("the server is told to end");
            let _ = shut.send(());
            let ends = until(|| server.is_finished()).await;
            let (told, over) = (told.get(), over.get());
            ensure!(
                ends || told == 3,
                "never-woken",
                "The server was told to end. It has 3 connections, whose handlers wait in `read` for clients that \
                 say nothing: {told} of the 3 have heard of the end."
            );
            ensure!(
                ends,
                "never-woken",
                "The server was told to end. {over} of its 3 connections have come to their ends by now, and it is \
                 not over. It has an hour of grace, and nobody to wait for."
            );
            let (end, told, over) = server.await.expect("the server does not panic");
            ensure!(
                over == 3,
                "cut-short",
                "The server was told to end, with 3 connections and an hour of grace. When it was over, {told} of \
                 the 3 had been told, and {over} had come to their ends."
            );
            let mut heard = Vec::new();
            for client in clients {
                heard.push(soon(client).await.unwrap_or_default());
            }
            ensure!(
                heard == ["hello"; 3],
                "cut-short",
                "The server ended with an hour of grace. Its 3 clients were to hear \"hello\", and have heard \
                 {heard:?}."
            );
            ensure!(
                end == Ok(()),
                "wrong-result",
                "All connections came to their ends within the grace, and `serve` gave {end:?}."
            );
        });
    }

    /// From the shutdown on nobody comes in: who knocks then is turned away, and tries elsewhere.
    "15.3" with "15.1" "15.2" fn nobody_comes_in_any_more() {
        let (listener, address) = listener();
        let story = ledger();
        Ledger::close();
        block_on(async {
            let _client = knock(address);
            let late = Rc::new(RefCell::new(None));
            let (shut, shutdown) = oneshot();
            let begun = Rc::new(Cell::new(0));
            let handler = {
                let (late, begun) = (late.clone(), begun.clone());
                move |client: Client| {
                    let (late, begun) = (late.clone(), begun.clone());
                    async move {
                        begun.set(begun.get() + 1);
                        until_told(&client).await;
                        note("the connection is told; another client knocks");
                        let knocked = net::TcpStream::connect(address);
                        *late.borrow_mut() = Some(knocked.map(drop).map_err(|error| error.kind()));
                    }
                }
            };
            let limits = Limits { idle: HOUR, grace: HOUR, ..Limits::default() };
            let server = start(serve(listener, limits, handler, shutdown));
            until(|| begun.get() == 1).await;
            story.attach();
            note("the server is told to end");
            let _ = shut.send(());
            until(|| server.is_finished()).await;
            let late = late.take();
            ensure!(
                late.is_some(),
                "cut-short",
                "The server was told to end, with an hour of grace, and its one connection was not told, or cut."
            );
            ensure!(
                late != Some(Ok(())),
                "cut-short",
                "When its connection heard that the server ends, another client knocked, and was let in by the \
                 kernel: it waits in a queue that nobody looks at any more. It has to be refused."
            );
            ensure!(
                late == Some(Err(ErrorKind::ConnectionRefused)),
                "wrong-result",
                "When its connection heard that the server ends, another client knocked, and got {late:?}. It has \
                 to be refused."
            );
        });
    }

    /// The end is over as soon as the last connection is, whatever grace is left.
    "15.3" with "15.1" fn without_connections_it_is_over() {
        if_it_sleeps(|| (
            "never-woken",
            "The server was told to end, with an hour of grace. Nobody is connected any more, and it waits.",
        ));
        let limits = Limits { grace: HOUR, ..Limits::default() };
        let (first, _) = listener();
        let end = block_on(watch("server", serve(first, limits, greet, ready(()))));
        ensure!(end == Ok(()), "wrong-result", "Nobody was connected, and `serve` gave {end:?}.");
        let (second, address) = listener();
        block_on(async {
            let (shut, shutdown) = oneshot();
            let server = start(serve(second, limits, greet, shutdown));
            let heard = soon(hear(knock(address))).await;
            let told = heard.as_deref() == Some("hello");
            ensure!(told, "wrong-result", "A client came, and has heard {heard:?}.");
            let _ = shut.send(());
            let end = server.await.expect("the server does not panic");
            ensure!(end == Ok(()), "wrong-result", "One had come and gone, and `serve` gave {end:?}.");
        });
    }

    /// After the grace the rest are cut; when it is over, nothing of them is left.
    "15.3" with "15.1" fn after_the_grace_they_are_cut() {
        if_it_sleeps(|| (
            "no-limit",
            "The server was told to end, with 50 ms of grace. One of its connections never comes to an end, \
             and so neither does the server.",
        ));
        let (listener, address) = listener();
        let story = ledger();
        Ledger::close();
        block_on(async {
            let clients = [knock(address), knock(address)];
            let (drops, over, begun) = (Drops::default(), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let handler = {
                let (drops, over, begun) = (drops.clone(), over.clone(), begun.clone());
                move |client: Client| {
                    let (token, over, begun) = (drops.token(), over.clone(), begun.clone());
                    async move {
                        let _token = token;
                        begun.set(begun.get() + 1);
                        if begun.get() == 1 {
                            idle(client).await;
                        }
                        sleep(Duration::from_millis(1)).await;
                        over.set(over.get() + 1);
                    }
                }
            };
            let limits = Limits { idle: HOUR, grace: Duration::from_millis(50), ..Limits::default() };
            let (shut, shutdown) = oneshot();
            let kept = drops.clone();
            let server = start(async move {
                let end = serve(listener, limits, handler, shutdown).await;
                note("`serve` returns");
                (end, kept.count(), Instant::now())
            });
            until(|| begun.get() == 2).await;
            story.attach();
            note("the server is told to end");
            let told = Instant::now();
            let _ = shut.send(());
            let (end, gone, ended) = server.await.expect("the server does not panic");
            drop(clients);
            let spent = (ended - told).as_millis();
            ensure!(
                spent >= 50,
                "cut-short",
                "The server has 50 ms of grace, and one connection that does not end: it was cut after {spent} ms."
            );
            ensure!(
                gone == 2,
                "still-there",
                "The server had two handlers; one of them came to no end within the grace. When `serve` had \
                 returned, {gone} of the 2 were gone."
            );
            ensure!(
                end == Err(Elapsed),
                "wrong-result",
                "One connection had to be cut after the grace, and `serve` gave {end:?}. Needed: `Err(Elapsed)`."
            );
        });
    }

    /// A request is put together, however it was cut on its way.
    "15.4" fn a_request_survives_every_cut() {
        let mut sent = b"*1\r\n$4\r\nPING\r\n".to_vec();
        sent.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
        sent.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$12\r\n*1\r\n$4\r\nQUIT\r\n");
        let needed = [&["PING"][..], &["SET", "a\r\nb", ""], &["ECHO", "*1\r\n$4\r\nQUIT"]];
        let needed = Ok(needed.map(|words| words.iter().map(|word| word.to_string()).collect()).to_vec());
        for piece in 1..=sent.len() {
            let found = parsed(sent.chunks(piece));
            compare(&found, &needed, &format!("Cut into pieces of {piece}, these"), &sent);
        }
        for cut in 0..sent.len() {
            let (head, tail) = sent.split_at(cut);
            let found = parsed([head, tail]);
            compare(&found, &needed, &format!("Cut after byte {cut}, these"), &sent);
        }
    }

    /// One piece may have many requests in it, and half of another.
    "15.4" fn many_requests_in_one_piece() {
        let mut parser = Parser::default();
        let sent = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n".repeat(100);
        parser.push(&sent);
        parser.push(b"*2\r\n$4\r\nINCR\r\n");
        let mut count = 0;
        let end = loop {
            match parser.next_request() {
                Ok(Some(request)) if request == [b"INCR".to_vec(), b"n".to_vec()] => count += 1,
                end => break shown(end),
            }
        };
        ensure!(
            (count, &end) == (100, &Ok(None)),
            "data-lost",
            "100 requests came at once, and half of another. `next_request` gave {count} of them, and then \
             {end:?}. Needed: 100 of them, and then `Ok(None)`."
        );
        (0..3).for_each(|_| _ = parser.next_request());
        parser.push(b"$1\r\nn\r\n");
        let last = shown(parser.next_request());
        ensure!(
            last == Ok(Some(vec!["INCR".into(), "n".into()])),
            "data-lost",
            "Half of a request was there. It was asked for 3 more times, and then the rest came: `next_request` \
             gave {last:?}."
        );
    }

    /// Somebody that types sends lines; and an array of no words is no request.
    "15.4" fn lines_are_requests_too() {
        for (sent, needed) in [
            ("PING\r\n", &[&["PING"][..]][..]),
            ("PING\n", &[&["PING"]]),
            ("  SET  key\t value \r\n", &[&["SET", "key", "value"]]),
            ("GET a\r\n*1\r\n$4\r\nPING\r\nGET b\r\n", &[&["GET", "a"], &["PING"], &["GET", "b"]]),
            ("*0\r\n*1\r\n$4\r\nPING\r\n", &[&["PING"]]),
            ("*-1\r\n*-7\r\n*1\r\n$4\r\nPING\r\n*0\r\n", &[&["PING"]]),
            ("\r\n\r\nPING\r\n", &[&["PING"]]),
        ] {
            let needed = needed.iter().map(|words| words.iter().map(|word| word.to_string()).collect());
            let needed = Ok(needed.collect::<Vec<Vec<String>>>());
            for piece in [sent.len(), 3, 1] {
                let found = parsed(sent.as_bytes().chunks(piece));
                compare(&found, &needed, &format!("In pieces of {piece}, these"), sent.as_bytes());
            }
        }
    }

    /// A request that comes word by word is not begun anew with each.
    "15.4" fn it_goes_on_where_it_stopped() {
        const WORDS: usize = 2000;
        let mut parser = Parser::default();
        parser.push(format!("*{WORDS}\r\n").as_bytes());
        let mut request = shown(parser.next_request());
        let made = allocations(|| {
            for _ in 0..WORDS {
                parser.push(b"$1\r\n!\r\n");
                request = shown(parser.next_request());
                if request != Ok(None) {
                    break;
                }
            }
        });
        let words = request.map(|request| request.map(|words| words.len()));
        ensure!(
            words == Ok(Some(WORDS)),
            "data-lost",
            "A request of {WORDS} words came word by word, and the number of words that came out is {words:?}."
        );
        let each = made / WORDS as u64;
        ensure!(
            each <= 20,
            "lost-progress",
            "A request of {WORDS} words came word by word. To put it together took {each} allocations for each of \
             them: with each word it began anew. A few for each word are needed, however many words there are."
        );
        // Without allocations it takes its time all the same: 16 times the words, 16 times the time.
        let slow = || cpu_of(200).zip(cpu_of(16 * 200)).is_some_and(|(few, many)| many > 5 * 16 * few);
        ensure!(
            !slow() || !slow(),
            "lost-progress",
            "A request of 16 times the words took more than 80 times as long: with each word it began anew."
        );
    }

    /// What a client announces is not believed without a limit, nor is memory kept for it.
    "15.4" fn there_is_a_limit_to_everything() {
        for (sent, what) in [
            ("*1048577\r\n", "a request of 1,048,577 words"),
            ("*99999999999999999999\r\n", "a request of 99,999,999,999,999,999,999 words"),
            ("*2\r\n$4\r\nECHO\r\n$16777217\r\n", "a word of 16,777,217 bytes"),
        ] {
            let mut parser = Parser::default();
            parser.push(sent.as_bytes());
            let found = shown(parser.next_request());
            ensure!(
                found.is_err(),
                "no-limit",
                "A client announced {what}. That is more than a request may have, and `next_request` gave \
                 {found:?}."
            );
        }
        for sent in ["*one\r\n", "*\r\n", "*1\r\nPING\r\n"] {
            let mut parser = Parser::default();
            parser.push(sent.as_bytes());
            let found = shown(parser.next_request());
            ensure!(found.is_err(), "wrong-result", "{sent:?} is no request, and it gave {found:?}.");
        }
        let mut parser = Parser::default();
        let before = allocated_bytes();
        parser.push(b"*1048576\r\n");
        let found = shown(parser.next_request());
        let kept = allocated_bytes() - before;
        ensure!(found == Ok(None), "wrong-result", "A request of 1,048,576 words may come, and it gave {found:?}.");
        ensure!(
            kept < 1_000_000,
            "no-limit",
            "A client announced 1,048,576 words, in 10 bytes, and {} MB of memory are kept for them. What has not \
             come may never come.",
            kept / 1_000_000
        );
        // Nine million bytes for a request are fine, also for the next one; 18 million for one are not.
        let word = format!("$9000000\r\n{}\r\n", "x".repeat(9_000_000));
        let mut parser = Parser::default();
        parser.push(b"*1\r\n");
        parser.push(word.as_bytes());
        let found = parser.next_request().map(|request| request.map(|words| words[0].len()));
        ensure!(
            found == Ok(Some(9_000_000)),
            "wrong-result",
            "A request may have 16 MiB. One had 9,000,000 bytes, and gave {found:?}."
        );
        parser.push(b"*2\r\n");
        parser.push(word.as_bytes());
        let found = shown(parser.next_request());
        ensure!(
            found == Ok(None),
            "wrong-result",
            "A request may have 16 MiB. After one of 9,000,000 bytes came the first word of another, of as many, \
             and it gave {found:?}."
        );
        parser.push(b"$9000000\r\n");
        let found = shown(parser.next_request());
        ensure!(
            found.is_err(),
            "no-limit",
            "A request may have 16 MiB. One of two words of 9,000,000 bytes was announced, and it gave {found:?}."
        );
    }

    /// A message goes to all that listen to its channel, and to nobody else; the answer is how many.
    "15.5" fn a_message_goes_to_all_that_listen() {
        let mut hub = Hub::default();
        let mut mail = [(); 3].map(|()| {
            let (mailbox, mail) = channel(5);
            (hub.enter(mailbox), mail)
        });
        for (n, channels) in [(0, &["news"][..]), (1, &["news", "sport"]), (2, &["sport"])] {
            let channels = channels.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
            hub.subscribe(mail[n].0, &channels);
        }
        let counts = [("news", "1"), ("sport", "2"), ("weather", "3"), ("news", "4")];
        let counts = counts.map(|(channel, message)| count(&hub.publish(channel.as_bytes(), message.as_bytes())));
        ensure!(
            counts == [2, 2, 0, 2],
            "wrong-result",
            "A listens to news, B to news and sport, C to sport. A message each for news, sport, weather and \
             news was said to reach {counts:?} of them. Needed: 2, 2, 0 and 2."
        );
        let whole = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\n1\r\n";
        let first = mail[0].1.try_recv().unwrap_or_default();
        ensure!(
            *first == *whole || first.is_empty(),
            "wrong-bytes",
            "A message in a mailbox has the bytes that its client is sent: the word `message`, the channel and the \
             text, in RESP. This was {:?}.",
            String::from_utf8_lossy(&first)
        );
        let got = mail.each_mut().map(|(_, mail)| delivered(mail).join(" "));
        ensure!(
            !first.is_empty() && got == ["4", "1 2 4", "2"],
            "data-lost",
            "A listens to news, B to news and sport, C to sport. 1 and 4 went to news, and 2 to sport. A had {}, \
             and after its first message A, B and C had {got:?}. Needed: [\"4\", \"1 2 4\", \"2\"].",
            if first.is_empty() { "none" } else { "one" }
        );
        drop(mail);
    }

    /// A subscriber that has no room is let go, and the others get the message all the same.
    "15.5" fn who_has_no_room_is_let_go() {
        for slow in 0..3 {
            let mut hub = Hub::default();
            let mut mail = [0, 1, 2].map(|n| {
                let (mailbox, mail) = channel(if n == slow { 2 } else { 9 });
                let id = hub.enter(mailbox);
                hub.subscribe(id, &[b"news".to_vec(), b"sport".to_vec()]);
                (id, mail)
            });
            let counts = ["1", "2", "3", "4"].map(|n| count(&hub.publish(b"news", n.as_bytes())));
            let name = ["A", "B", "C"][slow];
            let seen = format!("A, B and C listen, {name} has room for 2 messages, and there were 4");
            let got = mail.each_mut().map(|(_, mail)| delivered(mail).join(" "));
            for (n, got) in got.iter().enumerate().filter(|(n, _)| *n != slow) {
                let other = ["A", "B", "C"][n];
                ensure!(got == "1 2 3 4", "waits-for-one", "{seen}. {other} has room for 9, and has {got:?}.");
            }
            ensure!(
                counts == [3, 3, 2, 2],
                "wrong-result",
                "{seen}. They were said to reach {counts:?} of them. Needed: 3, 3, 2 and 2."
            );
            ensure!(got[slow] == "1 2", "data-lost", "{seen}. {name} has {:?}. Needed: \"1 2\".", got[slow]);
            let (id, mail) = &mut mail[slow];
            let end = mail.try_recv().map(drop);
            ensure!(
                end == Err(TryRecvError::Disconnected),
                "data-lost",
                "{seen}. {name} has the first two, and its mailbox is still open. It has missed two, and \
                 nothing tells it so: it has to go."
            );
            let (listens, reached) = (hub.listens(*id), count(&hub.publish(b"sport", b"5")));
            ensure!(
                !listens && reached == 2,
                "still-there",
                "{seen}. {name} had to go, and is it still there? {listens}. It listened to sport, too: a \
                 message for sport is said to reach {reached} of them. Needed: `false`, and 2."
            );
        }
    }

    /// Among real connections: one subscriber takes nothing, and the other hears every message.
    "15.5" with "15.1" "15.2" "15.4" fn a_subscriber_that_does_not_listen() {
        let (listener, address) = narrow_listener();
        let db = Rc::new(RefCell::new(Db::default()));
        block_on(async {
            let (hub, handler) = (db.clone(), move |client: Client| talk(client, db.clone()));
            let _server = start(serve(listener, Limits::default(), handler, pending::<()>()));
            let mut clients = [knock(address), knock(address)];
            for client in &mut clients {
                client.write_all(b"SUBSCRIBE news\r\n").unwrap();
            }
            let [deaf, listening] = clients;
            let heard = counted(listening);
            until(|| heard.load(Ordering::Relaxed) == SUBSCRIBED.len()).await;
            let (mut wanted, mut reached) = (SUBSCRIBED.len(), Vec::new());
            // The first fill the buffers of the kernel, the others the mailbox.
            for n in 0_usize..1_200 {
                let message = vec![b'.'; if n < 40 { 65_536 } else { 10 }];
                let head = format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n", message.len());
                wanted += head.len() + message.len() + 2;
                let request = [b"PUBLISH".to_vec(), b"news".to_vec(), message];
                reached.push(count(&hub.borrow_mut().execute(0, &request)));
                if n.is_multiple_of(100) && !until(|| heard.load(Ordering::Relaxed) == wanted).await {
                    break;
                }
            }
            let _ = until(|| heard.load(Ordering::Relaxed) == wanted).await;
            let got = heard.load(Ordering::Relaxed);
            let both = reached.iter().filter(|count| **count == 2).count();
            let seen = "Two clients listen to a channel, and one of them does not read. 1,200 messages were sent";
            ensure!(
                got == wanted,
                "waits-for-one",
                "{seen}, {wanted} bytes. The other one has {got} of them."
            );
            ensure!(
                both < 1_200 && reached[both..].iter().all(|count| *count == 1),
                "no-limit",
                "{seen}, and a mailbox has room for 1,000. {both} were said to reach both."
            );
            // The server closes the connection, and waits a while for the client to do so.
            let (ended, end) = oneshot();
            thread::spawn(move || ended.send(is_cut(deaf, patience())));
            let end = end.await.unwrap_or(false);
            ensure!(end, "still-there", "{seen}. It has no room any more, and its connection stands.");
        });
    }

    /// A line is put together, however it was cut; what follows it is there for the next call.
    "15.6" with "15.2" fn a_line_survives_every_cut() {
        let text = b"one\ntwo\n\nthree\r\nfour";
        let needed = ["one", "two", "", "three\r"];
        for piece in 1..=text.len() {
            let (mut client, connection) = connected(HOUR);
            let (mut rest, mut lines) = (Vec::new(), Vec::new());
            let reads = async {
                loop {
                    match read_line(&connection, &mut rest, HOUR).await {
                        Ok(Some(line)) => lines.push(String::from_utf8_lossy(&line).into_owned()),
                        end => return end.map_err(|error| error.kind()),
                    }
                }
            };
            let writes = async {
                for piece in text.chunks(piece) {
                    client.write_all(piece).unwrap();
                    turns(5).await;
                }
                client.shutdown(Shutdown::Write).unwrap();
            };
            let (end, ()) = block_on(join(reads, writes));
            let seen = format!(
                "{:?} was sent in pieces of {piece}, and then the end. It gave {lines:?} and {end:?}. Needed: \
                 {needed:?} and Ok(None)",
                String::from_utf8_lossy(text)
            );
            ensure!(lines == needed, "data-lost", "{seen}.");
            ensure!(end == Ok(None), "wrong-result", "{seen}.");
        }
    }

    /// The limit is for all of a line: a byte now and then does not begin it anew.
    "15.6" with "15.2" fn a_byte_now_and_then_is_too_slow() {
        let ((mut client, connection), limit) = (connected(HOUR), Duration::from_millis(50));
        let (mut rest, begun) = (Vec::new(), Instant::now());
        // On this thread: the client has a turn, and the reader has one.
        let sends = async {
            for n in 1..=40 {
                sleep(Duration::from_millis(5)).await;
                client.write_all(if n < 40 { b"." } else { b"\n" }).unwrap();
            }
            pending::<()>().await;
        };
        let reads = watch("read_line", read_line(&connection, &mut rest, limit));
        let Either::Left(line) = block_on(race(reads, sends)) else { unreachable!("it is pending") };
        let (line, spent) = (line.map_err(|error| error.kind()), begun.elapsed());
        ensure!(
            !matches!(line, Ok(Some(_))),
            "no-limit",
            "A line has to come within 50 ms. A client sent a byte of it every 5 ms, and after {} ms, when its \
             end came, it was read. With more bytes the client stays as long as it likes.",
            spent.as_millis()
        );
        ensure!(
            line == Err(ErrorKind::TimedOut),
            "wrong-result",
            "A line has to come within 50 ms, and took longer: it gave {line:?}. The error `TimedOut` is needed."
        );
        ensure!(
            spent >= limit,
            "too-early",
            "A line has 50 ms. It was given up after {} ms.",
            spent.as_millis()
        );
        // Half a line, and then nothing: no byte is there to look at the clock for.
        if_it_sleeps(|| (
            "no-limit",
            "A line has to come within 10 ms. A client has sent half of one, and then nothing: it is waited for.",
        ));
        let (mut client, connection) = connected(HOUR);
        client.write_all(b"half a").unwrap();
        let line = block_on(read_line(&connection, &mut rest, Duration::from_millis(10)));
        let line = line.map_err(|error| error.kind());
        ensure!(
            line == Err(ErrorKind::TimedOut),
            "wrong-result",
            "A line has to come within 10 ms. Half of one came, and it gave {line:?}. The error `TimedOut` is needed."
        );
    }

    /// Dropped before it is ready, it has lost no byte: all that was read is in `rest`.
    "15.6" with "15.2" fn a_dropped_read_line_has_lost_nothing() {
        for polls in 1..6 {
            let (mut client, connection) = connected(HOUR);
            let (mut rest, mut lines) = (Vec::new(), String::new());
            for piece in ["on", "e\ntw", "o\nth", "re", "e\n"] {
                client.write_all(piece.as_bytes()).unwrap();
                let mut line = Box::pin(watch("read_line", read_line(&connection, &mut rest, HOUR)));
                if let Some(Ok(Some(line))) = poll_times(line.as_mut(), polls) {
                    lines += &format!("{} ", String::from_utf8_lossy(&line));
                }
                drop(line);
                note("it is dropped");
            }
            client.shutdown(Shutdown::Write).unwrap();
            while let Ok(Some(line)) = block_on(read_line(&connection, &mut rest, HOUR)) {
                lines += &format!("{} ", String::from_utf8_lossy(&line));
            }
            ensure!(
                lines == "one two three ",
                "data-lost",
                "\"one\", \"two\" and \"three\" were sent, in 5 pieces. After each piece `read_line` was \
                 called, and dropped after {} if it was not ready by then. In the end {lines:?} had been read.",
                many(polls, "poll")
            );
        }
    }

    /// A line has 1,024 bytes at most; one that is longer is not waited for.
    "15.6" with "15.2" fn a_line_is_no_longer_than_that() {
        if_it_sleeps(|| (
            "no-limit",
            "A line has 1,024 bytes at most. A client has sent more than that without an end, and more is \
             waited for.",
        ));
        for (sent, end, needed) in [
            (1024, "\n", Ok(Some(1024))),
            (1025, "\n", Err(ErrorKind::InvalidData)),
            (1025, "", Err(ErrorKind::InvalidData)),
            (5000, "", Err(ErrorKind::InvalidData)),
        ] {
            let (mut client, connection) = connected(HOUR);
            client.write_all(format!("{}{end}", ".".repeat(sent)).as_bytes()).unwrap();
            let line = block_on(watch("read_line", read_line(&connection, &mut Vec::new(), HOUR)));
            let line = line.map(|line| line.map(|line| line.len())).map_err(|error| error.kind());
            let seen = format!(
                "{sent} bytes were sent, {}, and it gave {line:?}. Needed: {needed:?}",
                if end.is_empty() { "without an end" } else { "and the end of the line" }
            );
            ensure!(needed.is_ok() || line.is_err(), "no-limit", "{seen}.");
            ensure!(line == needed, "wrong-result", "{seen}.");
        }
        // It is the line that counts, and not what has come with it.
        let (mut client, connection) = connected(HOUR);
        let text = "a short line\n".repeat(300);
        client.write_all(text.as_bytes()).unwrap();
        let mut rest = Vec::new();
        for n in 1..=300 {
            let line = block_on(read_line(&connection, &mut rest, HOUR)).map_err(|error| error.kind());
            ensure!(
                line == Ok(Some(b"a short line".to_vec())),
                "wrong-result",
                "300 lines of 12 bytes came at once. Line {n} was {line:?}."
            );
        }
    }

    /// What the connection says is passed on.
    "15.6" with "15.2" fn what_the_connection_says_is_passed_on() {
        let (client, broken) = connected(HOUR);
        reset(client);
        let (_client, silent) = connected(Duration::from_millis(10));
        for (connection, needed, what) in [
            (broken, ErrorKind::ConnectionReset, "The client has reset the connection"),
            (silent, ErrorKind::TimedOut, "The client was silent for longer than the connection allows"),
        ] {
            let line = block_on(read_line(&connection, &mut Vec::new(), HOUR));
            let line = line.map_err(|error| error.kind());
            ensure!(line == Err(needed), "wrong-result", "{what}, and it gave {line:?}. Needed: `{needed:?}`.");
        }
    }

    /// Every line is answered, in order, and at the end it is over.
    "15.7" with "15.2" "15.6" fn every_line_has_its_answer() {
        if_it_sleeps(|| (
            "stuck",
            "The client has nothing more to say, and takes its answers. It has not come to an end.",
        ));
        let (mut client, connection) = connected(HOUR);
        let (lines, needed) = numbered(50, |n| format!("<{n}>"));
        let writes = async {
            for piece in lines.as_bytes().chunks(7) {
                client.write_all(piece).unwrap();
                turns(2).await;
            }
            client.write_all(b"half a line").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        };
        let answers = watch("answer_lines", answer_lines(&connection, |line| [b"<", line, b">"].concat()));
        let (end, ()) = block_on(join(answers, writes));
        drop(connection);
        let mut got = String::new();
        let _ = client.read_to_string(&mut got);
        ensure!(
            end.is_ok(),
            "wrong-result",
            "The client sent 50 lines, and then the end. It gave {end:?}; `Ok(())` is needed."
        );
        ensure!(
            got == needed,
            "data-lost",
            "50 lines were sent, and each was to be answered by itself in brackets. {} of {} bytes came: \"{}\".",
            got.len(), needed.len(), beginning(&got)
        );
        // The end may come when most of the answers are still to be written.
        let (mut client, connection) = narrow(HOUR);
        let (lines, needed) = numbered(100, padded);
        client.write_all(lines.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let answer = |line: &[u8]| padded(&String::from_utf8_lossy(line)).into_bytes();
        let (end, got) = block_on(async {
            let reads = async {
                turns(100).await;
                hear(client).await.unwrap_or_default()
            };
            let answers = async {
                let end = answer_lines(&connection, answer).await;
                drop(connection);
                end
            };
            join(answers, reads).await
        });
        ensure!(
            end.is_ok() && got == needed,
            "data-lost",
            "100 lines and the end were sent in one piece. The answers have {} bytes in all, and {} were heard; it \
             gave {end:?}.",
            needed.len(), got.len()
        );
    }

    /// The end of the questions is not the end of the answers.
    "15.7" with "15.2" "15.6" fn whoever_reads_late_has_its_answers() {
        const EACH: usize = 1_000_000;
        let (mut client, connection) = narrow(HOUR);
        client.write_all(b"a\nb\nc\nd\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let answers = async {
            let answer = |line: &[u8]| line.repeat(EACH);
            let end = watch("answer_lines", answer_lines(&connection, answer)).await;
            note("it is over");
            drop(connection);
            end
        };
        let reads = async {
            sleep(Duration::from_millis(20)).await;
            turns(100).await;
            note("the client reads");
            hear(client).await.unwrap_or_default()
        };
        let (end, got) = block_on(join(answers, reads));
        let end = end.map_err(|error| error.kind());
        let needed = ["a", "b", "c", "d"].map(|line| line.repeat(EACH)).concat();
        ensure!(
            got.len() == needed.len(),
            "data-lost",
            "A client sent 4 lines, and then the end; it began to read after that. The answers have {} bytes in \
             all, and it has heard {}. It gave {end:?}.",
            needed.len(), got.len()
        );
        ensure!(
            end.is_ok() && got == needed,
            "wrong-bytes",
            "A client sent 4 lines, and then the end. It has heard as many bytes as the answers have, and {}; it \
             gave {end:?}.",
            if got == needed { "those of the answers" } else { "others than those of the answers" }
        );
    }

    /// While a client takes no answers, none are made for it: it is not read any more.
    "15.7" with "15.2" "15.6" fn who_does_not_read_is_not_read() {
        const LINES: usize = 400;
        let ((mut client, deaf), (mut other, listens)) = (narrow(HOUR), connected(HOUR));
        let (lines, needed) = numbered(LINES, padded);
        client.write_all(lines.as_bytes()).unwrap();
        let (made, before_all) = (Cell::new(0), allocated_bytes());
        let answers = watch("answer_lines", answer_lines(&deaf, |line| {
            made.set(made.get() + 1);
            padded(&String::from_utf8_lossy(line)).into_bytes()
        }));
        let others = answer_lines(&listens, |line| line.to_ascii_uppercase());
        let (end, got) = block_on(async {
            let others = join(others, async {
                let mut before = usize::MAX;
                while before != made.get() {
                    before = made.get();
                    sleep(Duration::from_millis(10)).await;
                }
                let (made, grown) = (made.get(), allocated_bytes() - before_all);
                let seen = format!(
                    "A client sent {LINES} lines, and took none of the answers, of 8,000 bytes each. {made} were \
                     made. The kernel keeps about 20, and 16 may wait"
                );
                // One is being written besides, one has no room, and memory is not always cut to measure.
                ensure!(grown <= 40 * 8000, "no-limit", "{seen}. More than 40 of them wait in memory.");
                ensure!(made <= 100, "data-lost", "{seen}. The others are nowhere.");
                note("another client asks");
                other.write_all(b"hello\n").unwrap();
                let answer = soon(spoken(other.try_clone().unwrap(), 5)).await;
                ensure!(
                    answer.as_deref() == Some("HELLO"),
                    "waits-for-one",
                    "A client takes none of its answers. Another one sent \"hello\", and has heard {}.",
                    said(&answer)
                );
                let _ = other.shutdown(Shutdown::Write);
                note("the client reads");
                let reader = spoken(client.try_clone().unwrap(), needed.len());
                let got = reader.await.unwrap_or_default();
                let _ = client.shutdown(Shutdown::Write);
                got
            });
            let (end, (_, got)) = join(answers, others).await;
            (end, got)
        });
        ensure!(
            got == needed,
            "data-lost",
            "A client sent {LINES} lines, and read the answers after a while. Of their {} bytes {} came, and they \
             are not those.",
            needed.len(), got.len()
        );
        ensure!(end.is_ok(), "wrong-result", "All lines were answered, and it gave {end:?}.");
    }

    /// A client that takes nothing for too long is let go.
    "15.7" with "15.2" "15.6" fn who_takes_nothing_is_let_go() {
        if_it_sleeps(|| (
            "no-limit",
            "A client does not take its answers. It may do so for 30 ms, and it is waited for without an end.",
        ));
        let (mut client, connection) = narrow(Duration::from_millis(30));
        client.write_all(numbered(400, padded).0.as_bytes()).unwrap();
        let answer = |line: &[u8]| padded(&String::from_utf8_lossy(line)).into_bytes();
        let end = block_on(watch("answer_lines", answer_lines(&connection, answer)));
        let end = end.map_err(|error| error.kind());
        ensure!(
            end == Err(ErrorKind::TimedOut),
            "wrong-result",
            "A client took none of its answers for 30 ms, and it gave {end:?}. The error `TimedOut` is needed."
        );
    }
}

/// Longer than any check.
const HOUR: Duration = Duration::from_secs(3600);

/// What a client is told that has subscribed to `news`.
const SUBSCRIBED: &str = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";

/// Writes a line into the ledger.
fn note(what: &'static str) {
    ledger().record("check", Event::Note(what));
}

/// What `f` gives; its system calls, and those that make a reactor, are not part of the story.
fn unrecorded<T>(f: impl FnOnce() -> T) -> T {
    let ledger = ledger();
    Ledger::close();
    block_on(async {});
    let result = f();
    ledger.attach();
    result
}

/// A listener for the subject, and where it listens.
fn listener() -> (TcpListener, SocketAddr) {
    unrecorded(|| {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    })
}

/// The same; for each of its connections the kernel keeps little of what is sent.
fn narrow_listener() -> (TcpListener, SocketAddr) {
    let (listener, address) = listener();
    sys::set_option(&listener, libc::SOL_SOCKET, libc::SO_SNDBUF, 128 * 1024).unwrap();
    (listener, address)
}

/// A client that has connected to `address`: it is there, whether it is accepted or not.
fn knock(address: SocketAddr) -> net::TcpStream {
    net::TcpStream::connect(address).unwrap()
}

/// A client, and its connection as a server has it.
fn accepted() -> (net::TcpStream, TcpStream) {
    let (client, server) = pair();
    client.set_nodelay(true).unwrap();
    (client, unrecorded(|| TcpStream::from_std(server).unwrap()))
}

/// A client, and its connection, which is examined.
fn subject(idle: Duration, ending: CancelToken) -> (net::TcpStream, Connection) {
    let (client, stream) = accepted();
    let peer = client.local_addr().unwrap();
    (client, Connection::new(stream, peer, idle, ending))
}

/// A client, and its connection, with which something else is examined.
fn connected(idle: Duration) -> (net::TcpStream, Client) {
    let (client, stream) = accepted();
    (client, unrecorded(|| connection(stream, idle)))
}

/// The same; the kernel keeps little of what is sent to the client.
fn narrow(idle: Duration) -> (net::TcpStream, Client) {
    let (client, stream) = accepted();
    unrecorded(|| {
        sys::set_option(&stream, libc::SOL_SOCKET, libc::SO_SNDBUF, 32 * 1024).unwrap();
        sys::set_option(&client, libc::SOL_SOCKET, libc::SO_RCVBUF, 32 * 1024).unwrap();
        (client, connection(stream, idle))
    })
}

/// Room for so many connections, and time enough.
fn room_for(connections: usize) -> Limits {
    Limits { connections, ..Limits::default() }
}

/// Starts the server, as a task that is watched.
fn start<F: Future<Output: 'static> + 'static>(server: F) -> JoinHandle<F::Output> {
    spawn(watch("server", server))
}

/// Nobody has told the server to end: it is still there.
fn goes_on<T>(server: &JoinHandle<T>, seen: &str) {
    let over = server.is_finished();
    ensure!(!over, "goes-down", "{seen}. Nobody told the server to end, and it is over.");
}

/// How long something is waited for that should come at once.
fn patience() -> Duration {
    scaled(Duration::from_millis(500))
}

/// Waits until `holds`. Whether it did in time.
async fn until(holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + patience();
    while !holds() && Instant::now() < deadline {
        sleep(Duration::from_millis(1)).await;
    }
    holds()
}

/// Gives way to the others of this thread so many times.
async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

/// How many files, sockets and the like this process has open.
fn descriptors() -> usize {
    fs::read_dir("/dev/fd").expect("every Unix says which descriptors are open").count()
}

/// How often accept(2) was called.
fn accepts() -> u64 {
    ledger().count(Event::Call("accept"))
}

/// A client comes, and for a while every accept(2) fails with the error `name`.
fn accept_fails(name: &str, errors: &'static [(&'static str, i32)]) {
    let (listener, address) = listener();
    block_on(async {
        let client = hear(knock(address));
        sys::inject(Some(all(errors)));
        let server = start(serve(listener, room_for(1), greet, pending::<()>()));
        let (begun, mut turns) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_millis(40) || accepts() == 0 && turns < 1000 {
            yield_now().await;
            turns += 1;
        }
        sys::inject(None);
        note("it does not fail any more");
        let tries = accepts();
        let seen = format!(
            "A client came, and for 40 ms accept(2) failed with {name}: {}",
            many(tries, "call")
        );
        goes_on(&server, &seen);
        ensure!(tries > 0, "never-polled", "A client came, and accept(2) was not called.");
        let had = many(turns, "turn");
        ensure!(
            turns > 3 * tries || tries > 50,
            "waits-for-one",
            "{seen}. Another task, which gave way over and over, had {had} meanwhile: the thread slept."
        );
        ensure!(
            tries <= 50,
            "busy-poll",
            "{seen}. Each takes the processor's time, and nothing is mended by it: others need a turn for that."
        );
        let heard = soon(client).await;
        goes_on(&server, &seen);
        ensure!(
            heard.as_deref() == Some("hello"),
            "not-given-back",
            "{seen}. Then it did not fail any more. There is room for 1 connection, nobody is connected, and the \
             client has heard {}. Needed: \"hello\".", said(&heard)
        );
    });
}

/// A handler that says hello.
async fn greet(client: Client) {
    let _ = client.write_all(b"hello").await;
}

/// A handler that has all the time in the world.
async fn idle(client: Client) {
    pending::<()>().await;
    drop(client);
}

/// Reads until there is nothing more to be read.
async fn until_told(client: &Client) {
    while client.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
}

/// What a client hears, on a thread of its own, until its connection ends.
fn hear(mut client: net::TcpStream) -> Coming<String> {
    let (heard, hears) = oneshot();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = client.read_to_end(&mut bytes);
        let _ = heard.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    hears
}

/// The first `count` bytes that a client hears, or all there are.
fn spoken(client: net::TcpStream, count: usize) -> Coming<String> {
    let (heard, hears) = oneshot();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = client.take(count as u64).read_to_end(&mut bytes);
        let _ = heard.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    hears
}

/// Counts the bytes that a client hears.
fn counted(mut client: net::TcpStream) -> Arc<AtomicUsize> {
    let heard = Arc::new(AtomicUsize::new(0));
    let counts = heard.clone();
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            counts.fetch_add(count, Ordering::Relaxed);
        }
    });
    heard
}

/// What comes in time.
async fn soon(hears: Coming<String>) -> Option<String> {
    timeout(patience(), hears).await.ok()?.ok()
}

/// Polls `n` times at most; what there is then.
fn poll_times<F: Future>(mut future: Pin<&mut F>, n: usize) -> Option<F::Output> {
    (0..n).find_map(|_| match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// The lines `0`, `1` and so on, and the answers to them.
fn numbered(count: usize, answer: impl Fn(&str) -> String) -> (String, String) {
    let numbers = (0..count).map(|n| n.to_string());
    numbers.map(|n| (n.clone() + "\n", answer(&n))).unzip()
}

/// An answer of 8,000 bytes.
fn padded(line: &str) -> String {
    format!("{line:>8000}")
}

/// What a client has heard.
fn said(heard: &Option<String>) -> String {
    heard.as_ref().map_or("nothing".to_owned(), |heard| format!("{heard:?}"))
}

/// The first 40 characters.
fn beginning(text: &str) -> String {
    let beginning = text.chars().take(40).collect::<String>();
    if beginning == text { beginning } else { beginning + "…" }
}

/// Requests whose words are text, or what is wrong.
type Requests = Result<Vec<Vec<String>>, Violation>;

/// A request as text.
fn shown(found: Result<Option<Request>, Violation>) -> Result<Option<Vec<String>>, Violation> {
    let text = |word: Vec<u8>| String::from_utf8_lossy(&word).into_owned();
    found.map(|request| request.map(|words| words.into_iter().map(text).collect()))
}

/// The requests that `pieces` come to. A request without words says nothing.
fn parsed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Requests {
    let (mut parser, mut requests, mut sent) = (Parser::default(), Vec::new(), Vec::new());
    for piece in pieces {
        parser.push(piece);
        sent.extend_from_slice(piece);
        while let Some(request) = shown(parser.next_request())? {
            requests.push(request);
            ensure!(
                requests.len() <= sent.len(),
                "wrong-result",
                "These {} bytes came to {} requests and more:\n\n  {:?}\n\nThe last of them: {:?}. When all \
                 the bytes are taken, `Ok(None)` is needed.",
                sent.len(), requests.len(), String::from_utf8_lossy(&sent), requests[requests.len() - 1]
            );
        }
    }
    requests.retain(|request| !request.is_empty());
    Ok(requests)
}

/// `found` and `needed` are the same.
fn compare(found: &Requests, needed: &Requests, how: &str, sent: &[u8]) {
    let sent = String::from_utf8_lossy(sent);
    let seen = format!("{how} bytes came to {found:?}:\n\n  {sent:?}\n\nNeeded: {needed:?}");
    ensure!(found.is_ok(), "wrong-result", "{seen}.");
    ensure!(found == needed, "data-lost", "{seen}.");
}

/// The processor's time for a request of `words` words that comes word by word, where it is known.
fn cpu_of(words: usize) -> Option<Duration> {
    let begun = thread_cpu_time()?;
    let mut parser = Parser::default();
    parser.push(format!("*{words}\r\n").as_bytes());
    for _ in 0..words {
        let _ = parser.next_request();
        parser.push(b"$1\r\n!\r\n");
    }
    let _ = parser.next_request();
    Some(thread_cpu_time()? - begun)
}

/// The number that a reply is.
fn count(reply: &Reply<'_>) -> i64 {
    match reply {
        Reply::Integer(count) => *count,
        other => fail!("wrong-result", "`PUBLISH` is answered with a number, and this was {other:?}."),
    }
}

/// The messages in a mailbox: the last word of each.
fn delivered(mail: &mut Receiver<Rc<[u8]>>) -> Vec<String> {
    let bytes = std::iter::from_fn(|| mail.try_recv().ok());
    let last = |bytes: Rc<[u8]>| String::from_utf8_lossy(&bytes).lines().last().map(str::to_owned);
    bytes.filter_map(last).collect()
}

/// Whether a client's connection ends within `limit`, once all is read.
fn is_cut(mut client: net::TcpStream, limit: Duration) -> bool {
    client.set_read_timeout(Some(limit)).unwrap();
    let mut buffer = vec![0; 65_536];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}
