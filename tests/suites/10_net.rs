// The checks of chapter 10. `subject` is the code under examination.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, PipeReader, Read, Write};
use std::net;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join;
use futures::io::{AsyncReadExt, AsyncWrite};
use libc::{c_short, pollfd};

use under_await::ch01_future::yield_now;
use under_await::ch08_poll::{Backend, Direction, ask_by};
use under_await::ch09_timer::{block_on, sleep, timeout};
use under_await::ledger::watch;
use under_await::sys;
use under_await::sys::Faults;

use crate::support::faults::all;
use crate::support::net::{black_hole, pair, refused, reset};
use crate::support::signals::sigpipe_ends_the_process;
use crate::support::{
    Bell, Event, Ledger, checks, ensure, fail, if_it_sleeps, ledger, many, scaled, times,
};

use subject::extend::{accept_patiently, connect_any, write_all, write_all_vectored};
use subject::{Async, TcpListener, TcpStream, connected};

checks! {
    /// What need not wait is done in the first poll, by one attempt.
    "10.1" fn tries_first() {
        let (reader, mut writer) = pipe();
        writer.write_all(b"!").unwrap();
        let (bell, waker) = Bell::new();
        let attempts = Cell::new(0);
        let answer = poll_read(&reader, &mut Context::from_waker(&waker), &attempts);
        ensure!(
            matches!(answer, Poll::Ready(Ok(1))),
            "wrong-result",
            "A byte was there to be read, and the answer was {answer:?}."
        );
        let (attempts, rung) = (attempts.get(), bell.rung());
        ensure!(attempts == 1, "wrong-result", "{attempts} attempts were made; 1 is needed.");
        ensure!(
            rung == 0,
            "busy-poll",
            "The waker was woken {rung} by a poll that was ready.",
            rung = times(rung)
        );
        let kept = Arc::strong_count(&bell);
        ensure!(
            kept == 2,
            "extra-call",
            "A byte was there to be read, and was read. The reactor was told to watch the descriptor all the same: \
             it has the waker of this poll."
        );
        let calls = ledger().count(Event::Call("fcntl"));
        ensure!(
            calls == 0,
            "extra-call",
            "Beside the attempt there were {calls} of fcntl. The descriptor does not block, and 0 \
             are needed.", calls = many(calls, "call")
        );
    }

    /// An attempt that would wait leaves the waker, and is made again after the wake.
    "10.1" fn leaves_its_waker() {
        let (reader, mut writer) = pipe();
        let attempts = Cell::new(0);
        let helper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            writer.write_all(b"!").unwrap();
            writer
        });
        let read = watch("reader", poll_fn(|cx| poll_read(&reader, cx, &attempts)));
        let count = block_on(read);
        drop(helper.join());
        ensure!(count.is_ok(), "wrong-result", "The read gave {count:?}.");
        let attempts = attempts.get();
        ensure!(attempts <= 3, "busy-poll", "A wait of 30 ms took {attempts} attempts; 2 are enough.");
    }

    /// A wake may be false: after it, the attempt says how things are.
    "10.1" fn believes_no_wake() {
        let (reader, _writer) = pipe();
        let (_, waker) = Bell::new();
        let attempts = Cell::new(0);
        for poll in 1..=3 {
            let answer = poll_read(&reader, &mut Context::from_waker(&waker), &attempts);
            ensure!(
                answer.is_pending(),
                "not-asked",
                "The pipe is empty, and poll {poll} answered {answer:?}."
            );
            let made = many(attempts.get(), "attempt");
            ensure!(
                attempts.get() == poll,
                "extra-call",
                "The pipe is empty. {} made {made}; needed: {poll}. What comes after an attempt is not missed: it \
                 ends the wait.",
                many(poll, "poll")
            );
        }
    }

    /// A writer waits until there is room, and not until something comes.
    "10.1" fn waits_in_its_direction() {
        let (socket, mut peer, written) = full();
        let attempts = Cell::new(0);
        let helper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            let _ = peer.read_exact(&mut vec![0; written]);
            peer
        });
        let write = poll_fn(|cx| {
            socket.poll_io(Direction::Write, cx, |mut socket| {
                attempts.set(attempts.get() + 1);
                socket.write(b"!")
            })
        });
        let count = block_on(watch("writer", write));
        drop(helper.join());
        ensure!(count.is_ok(), "wrong-result", "The write gave {count:?}.");
        let attempts = attempts.get();
        ensure!(attempts <= 3, "busy-poll", "A wait of 30 ms took {attempts} attempts; 2 are enough.");
    }

    /// A reader waits until something comes, and not until there is room to write.
    "10.1" fn waits_in_no_other_direction() {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let socket = unrecorded(|| Async::new(ours).unwrap());
        let attempts = Cell::new(0);
        let helper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            peer.write_all(b"!").unwrap();
            peer
        });
        let read = poll_fn(|cx| {
            socket.poll_io(Direction::Read, cx, |mut socket| {
                attempts.set(attempts.get() + 1);
                socket.read(&mut [0; 8])
            })
        });
        let count = block_on(watch("reader", read));
        drop(helper.join());
        ensure!(count.is_ok(), "wrong-result", "The read gave {count:?}.");
        let attempts = attempts.get();
        ensure!(
            attempts <= 3,
            "spins",
            "For 30 ms a socket had room to write and nothing to read. A wait to read took {attempts} attempts; 2 are \
             enough. What ended the wait was the room."
        );
    }

    /// What cannot be waited for is an error: nobody would ever wake it.
    "10.1" fn what_cannot_be_watched_is_an_error() {
        let (reader, _writer) = pipe();
        let poll = ask_by(Box::new(Refuses)).unwrap();
        let attempts = Cell::new(0);
        let (_, waker) = Bell::new();
        let answer = poll_read(&reader, &mut Context::from_waker(&waker), &attempts);
        ensure!(
            matches!(answer, Poll::Ready(Err(_))),
            "never-woken",
            "The pipe is empty, the reactor cannot watch it, and the answer was {answer:?}. Its error is \
             needed."
        );
        ask_by(poll).unwrap();
    }

    /// Of the wakers of two polls, the one of the second is woken.
    "10.1" fn the_newest_waker() {
        let (reader, mut writer) = pipe();
        let ((first, waker), (second, newer)) = (Bell::new(), Bell::new());
        let attempts = Cell::new(0);
        for waker in [waker, newer] {
            let _ = poll_read(&reader, &mut Context::from_waker(&waker), &attempts);
        }
        writer.write_all(b"!").unwrap();
        block_on(sleep(Duration::from_millis(20)));
        let (first, second) = (first.rung(), second.rung());
        ensure!(
            (first, second) == (0, 1),
            "lost-wake",
            "Polled with two wakers, one after the other, it woke the first {first} and the \
             second {second}; needed are 0 and 1.", second = times(second), first = times(first)
        );
    }

    /// An error other than `WouldBlock` is an answer: waiting would not make it better.
    "10.1" fn an_error_is_an_answer() {
        let (reader, _writer) = pipe();
        let (_, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        for kind in [
            ErrorKind::ConnectionReset,
            ErrorKind::NotConnected,
            ErrorKind::BrokenPipe,
            ErrorKind::TimedOut,
        ] {
            let failed =
                reader.poll_io(Direction::Read, &mut cx, |_| Err::<(), _>(kind.into()));
            ensure!(
                matches!(&failed, Poll::Ready(Err(error)) if error.kind() == kind),
                "wrong-result",
                "The attempt failed with `{kind:?}`, and the answer was {failed:?}."
            );
        }
    }

    /// A signal ends a call before it has done anything: then it is made again.
    "10.1" fn a_signal_is_no_error() {
        let (reader, _writer) = pipe();
        let (_, waker) = Bell::new();
        let mut attempts = 0;
        let answer = reader.poll_io(Direction::Read, &mut Context::from_waker(&waker), |_| {
            attempts += 1;
            if attempts > 2 { Ok(7) } else { Err(ErrorKind::Interrupted.into()) }
        });
        ensure!(
            matches!(answer, Poll::Ready(Ok(7))),
            "wrong-result",
            "A signal ends the first two attempts, which are `Interrupted`, and the third one gives 7. {} made, and \
             the answer was {answer:?}; Ready(Ok(7)) is needed.",
            if attempts == 1 { "1 was".to_owned() } else { format!("{attempts} were") }
        );
    }

    /// A client that says nothing holds up nobody else, however its connection was accepted.
    "10.1" fn a_silent_client_holds_up_nobody() {
        let ((quiet, silent), (mut client, served)) = (pair(), pair());
        let client = thread::spawn(move || {
            client.write_all(b"!").unwrap();
            client.set_read_timeout(Some(scaled(Duration::from_millis(500)))).unwrap();
            let answered = client.read_exact(&mut [0]).is_ok();
            // A thread that sleeps in a read of this connection goes on now.
            drop(quiet);
            answered
        });
        let [silent, served] = unrecorded(|| [silent, served].map(|io| Async::new(io).unwrap()));
        let first = watch("first client", echo(&silent));
        let _ = block_on(join(first, watch("second client", echo(&served))));
        ensure!(
            client.join().unwrap(),
            "waits-for-one",
            "Of two clients the first says nothing. The second sent a byte, and got no answer until the \
             first had left."
        );
    }

    /// A connection that stands is connected.
    "10.2" fn connects() {
        let listener = net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let result = block_on(watch("dialler", dial(listener.local_addr().unwrap())));
        ensure!(result.is_ok(), "wrong-result", "A listener was there, and it gave {result:?}.");
    }

    /// A connection that was refused is an error: the one that the system keeps in `SO_ERROR`.
    "10.2" fn refused_is_an_error() {
        let refused = unrecorded(refused);
        let result = block_on(watch("dialler", dial(refused.address)));
        let kind = result.as_ref().map_err(io::Error::kind);
        ensure!(
            kind == Err(ErrorKind::ConnectionRefused),
            "not-asked",
            "Nobody listens at that port, and connecting gave {kind:?}."
        );
    }

    /// Whatever the error is, it is the one that the system keeps.
    "10.2" fn a_reset_is_an_error() {
        let (ours, theirs) = pair();
        let result = connected(&ours).map_err(|error| error.kind());
        ensure!(result.is_ok(), "wrong-result", "The connection stands, and it gave {result:?}.");
        reset(theirs);
        thread::sleep(Duration::from_millis(10));
        let result = connected(&ours).map_err(|error| error.raw_os_error());
        ensure!(
            result == Err(Some(libc::ECONNRESET)),
            "not-asked",
            "The peer has reset the connection, which is error {} of the system, and `connected` gave \
             {result:?}.",
            libc::ECONNRESET
        );
    }

    /// A socket that is asked before the end is neither connected nor failed.
    "10.2" fn asked_too_early() {
        let hole = unrecorded(black_hole);
        let socket = sys::begin_connect(hole.address).unwrap();
        let result = connected(&socket).map_err(|error| error.kind());
        ensure!(
            result == Err(ErrorKind::WouldBlock),
            "not-asked",
            "Nobody has answered yet, and `connected` gave {result:?}; `WouldBlock` is needed."
        );
    }

    /// An error of either question is an answer: it is no "not yet", and no "connected".
    "10.2" fn what_cannot_be_asked_is_an_error() {
        const UNKNOWN: &[(&str, i32)] = &[("getsockopt", libc::ENOBUFS)];
        let (ours, _theirs) = pair();
        sys::inject(Some(all(UNKNOWN)));
        let result = connected(&ours).map_err(|error| error.raw_os_error());
        sys::inject(None);
        // Whoever asks the socket past `sys` has not met the error.
        let asked = ledger().count(Event::Call("getsockopt"));
        ensure!(
            asked == 0 || result == Err(Some(libc::ENOBUFS)),
            "wrong-result",
            "The question for `SO_ERROR` failed with `ENOBUFS`, and `connected` gave {result:?}; that error is \
             needed."
        );
        // Its peer has an address, and one that is neither IPv4 nor IPv6.
        let (other, _peer) = UnixStream::pair().unwrap();
        let socket = net::TcpStream::from(OwnedFd::from(other));
        let needed = socket.peer_addr().map_err(|error| error.kind()).expect_err("no such address");
        let result = connected(&socket).map_err(|error| error.kind());
        ensure!(
            result != Err(ErrorKind::WouldBlock),
            "wrong-result",
            "The question for the peer failed with `{needed:?}`, and `connected` gave {result:?}: \"not yet\". \
             Whoever is told so asks again without end. Only `NotConnected` means that."
        );
    }

    /// Every byte arrives, once and in order, however little each write takes.
    "10.3" fn writes_all_of_it() {
        let bytes = numbered(10_000);
        let mut writer = unrecorded(|| Narrow::new(97));
        let result = block_on(watch("writer", write_all(&mut writer, &bytes)));
        ensure!(result.is_ok(), "wrong-result", "It gave {result:?}.");
        arrived(&writer.written, &bytes, "in writes of 97 at most");
    }

    /// The writer is lent, and is given back as it was: its owner may have more to write.
    "10.3" fn the_writer_stays_open() {
        let mut writer = unrecorded(|| Narrow::new(97));
        let result = block_on(write_all(&mut writer, b"abc"));
        ensure!(result.is_ok(), "wrong-result", "It gave {result:?}.");
        writer.is_as_it_was();
    }

    /// The same through a real connection, to a peer that reads slowly.
    "10.3" fn writes_to_a_slow_peer() {
        let (ours, mut theirs) = pair();
        let bytes = numbered(3 << 20);
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            let mut got = Vec::new();
            let _ = theirs.read_to_end(&mut got);
            got
        });
        let mut stream = unrecorded(|| TcpStream::from_std(ours).unwrap());
        let result = block_on(watch("writer", write_all(&mut stream, &bytes)));
        drop(stream);
        let got = reader.join().unwrap();
        ensure!(result.is_ok(), "wrong-result", "It gave {result:?}.");
        arrived(&got, &bytes, "through a real connection");
    }

    /// A writer that takes nothing any more is an error, and not a loop.
    "10.3" fn a_full_writer_is_an_error() {
        let mut writer = unrecorded(|| Narrow::new(0));
        let result = block_on(write_all(&mut writer, b"abc")).map_err(|error| error.kind());
        ensure!(
            result == Err(ErrorKind::WriteZero),
            "wrong-result",
            "A writer that takes 0 bytes gave {result:?}; `WriteZero` is needed."
        );
        let result = block_on(write_all(&mut writer, b""));
        ensure!(
            result.is_ok(),
            "wrong-result",
            "There was nothing to write, and it gave {result:?}."
        );
    }

    /// An error of the writer is passed on.
    "10.3" fn errors_are_passed_on() {
        let mut writer = unrecorded(|| Narrow::new(3));
        writer.fails_after = 2;
        let result = block_on(write_all(&mut writer, b"0123456789")).map_err(|error| error.kind());
        let taken = writer.written.len();
        ensure!(
            (result, taken) == (Err(ErrorKind::BrokenPipe), 6),
            "wrong-result",
            "The third write, of 3 bytes each, failed with `BrokenPipe`. It gave {result:?}, and {taken} \
             bytes had been taken."
        );
    }

    /// A peer that is gone is an error, and not the end of a program whose `main` is not Rust's.
    "10.3" fn a_peer_that_is_gone_is_an_error() {
        let (ours, theirs) = pair();
        reset(theirs);
        sigpipe_ends_the_process();
        let mut stream = unrecorded(|| TcpStream::from_std(ours).unwrap());
        // The first write may be told of the reset; the second one has nobody to write to.
        let mut write = || block_on(watch("writer", write_all(&mut stream, b"Anybody there?")));
        let result = [write(), write()];
        ensure!(
            result[1].is_err(),
            "wrong-result",
            "The peer was gone before two writes, and they gave {result:?}."
        );
    }

    /// An address that does not answer in time, or refuses, is passed over.
    "10.4" fn the_first_that_answers() {
        if_it_sleeps(|| STILL_WAITS);
        let (hole, refused) = unrecorded(|| (black_hole(), refused()));
        let listener = net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let last = listener.local_addr().unwrap();
        let addresses = [refused.address, hole.address, last, hole.address];
        let start = Instant::now();
        let limit = Duration::from_millis(100);
        let stream = block_on(watch("dialler", connect_any(&addresses, limit)));
        let peer = stream.and_then(|stream| stream.peer_addr()).map_err(|error| error.kind());
        ensure!(
            peer == Ok(last),
            "wrong-result",
            "The third of four addresses answers, and it gave {peer:?}."
        );
        let spent = start.elapsed().as_millis();
        ensure!(spent >= 100, "wrong-result", "The second address was given {spent} ms, not 100.");
        let connects = ledger().count(Event::Call("connect"));
        ensure!(
            connects == 3,
            "wrong-result",
            "The third of four addresses answers, and {connects} were tried. One after the other, three are."
        );
    }

    /// If none answers, the error is the last one's.
    "10.4" fn none_answers() {
        if_it_sleeps(|| STILL_WAITS);
        let (hole, refused) = unrecorded(|| (black_hole(), refused()));
        let limit = Duration::from_millis(50);
        // No TCP connection leads to a group.
        let nowhere = SocketAddr::from(([224, 0, 0, 1], 9));
        let never = net::TcpStream::connect(nowhere).expect_err("no connection").kind();
        for (addresses, wanted) in [
            (vec![refused.address, nowhere], never),
            (vec![refused.address, hole.address], ErrorKind::TimedOut),
            (vec![hole.address, refused.address], ErrorKind::ConnectionRefused),
            (vec![], ErrorKind::InvalidInput),
        ] {
            let result = block_on(connect_any(&addresses, limit));
            let kind = result.map(drop).map_err(|error| error.kind());
            let count = addresses.len();
            ensure!(
                kind == Err(wanted),
                "wrong-result",
                "None of {count} addresses answers, and it gave {kind:?}; {wanted:?} is needed."
            );
        }
    }

    /// While an address is silent, the other futures of this thread go on.
    "10.4" fn others_go_on_meanwhile() {
        let hole = unrecorded(black_hole);
        let given_up = Cell::new(false);
        let limit = Duration::from_millis(100);
        let dialler = async {
            let result = watch("dialler", connect_any(&[hole.address], limit)).await;
            given_up.set(true);
            result
        };
        let other = async {
            watch("other", sleep(limit / 5)).await;
            given_up.get()
        };
        let (late, _) = block_on(join(other, dialler));
        ensure!(
            !late,
            "waits-for-one",
            "An address that is silent was given 100 ms. Another future of this thread slept 20 ms, and \
             did not go on before they were over."
        );
    }

    /// All parts arrive, and a write that ends inside one is continued there.
    "10.5" fn all_parts_in_order() {
        let bytes = numbered(1000);
        for take in [1, 7, 100, 333, 1000] {
            let mut writer = unrecorded(|| Narrow::new(take));
            let (head, rest) = bytes.split_at(50);
            let (body, tail) = rest.split_at(900);
            let mut parts = [b"", head, b"", body, tail, b""].map(IoSlice::new);
            let result = block_on(write_all_vectored(&mut writer, &mut parts));
            ensure!(result.is_ok(), "wrong-result", "It gave {result:?}.");
            arrived(&writer.written, &bytes, &format!("in three parts and in writes of {take}"));
            let (calls, needed) = (writer.calls, 1000_usize.div_ceil(take));
            ensure!(
                calls == needed,
                "wrong-result",
                "1000 bytes in writes of {take} took {calls}; needed: {needed}.",
                calls = many(calls, "call")
            );
            writer.is_as_it_was();
        }
    }

    /// Each write is offered the parts as they are, and all that are left.
    "10.5" fn the_parts_are_offered_as_they_are() {
        let bytes = numbered(100);
        let (head, body) = bytes.split_at(30);
        let mut writer = unrecorded(|| Narrow::new(40));
        let mut parts = [head, body].map(IoSlice::new);
        let result = block_on(write_all_vectored(&mut writer, &mut parts));
        ensure!(result.is_ok(), "wrong-result", "It gave {result:?}.");
        let offered = &writer.offered;
        ensure!(
            *offered == [vec![30, 70], vec![60], vec![20]],
            "wrong-result",
            "Parts of 30 and 70 bytes, in writes of 40: the writer was offered parts of {offered:?}; \
             [[30, 70], [60], [20]] is needed, and no copy."
        );
    }

    /// An error of the writer is passed on.
    "10.5" fn errors_are_no_end() {
        let mut writer = unrecorded(|| Narrow::new(3));
        writer.fails_after = 2;
        let mut parts = [&b"01234"[..], &b"56789"[..]].map(IoSlice::new);
        let result = block_on(write_all_vectored(&mut writer, &mut parts)).map_err(|error| error.kind());
        let taken = writer.written.len();
        ensure!(
            (result, taken) == (Err(ErrorKind::BrokenPipe), 6),
            "wrong-result",
            "The third write, of 3 bytes each, failed with `BrokenPipe`. It gave {result:?}, and {taken} \
             bytes had been taken."
        );
    }

    /// Parts without a byte are nothing to write; a writer that takes none of the others is full.
    "10.5" fn nothing_is_not_full() {
        let mut writer = unrecorded(|| Narrow::new(0));
        for parts in [&mut [][..], &mut [IoSlice::new(b""), IoSlice::new(b"")]] {
            let count = parts.len();
            let result = block_on(write_all_vectored(&mut writer, parts));
            ensure!(
                result.is_ok(),
                "wrong-result",
                "There were {count} parts with 0 bytes in all, and it gave {result:?}."
            );
        }
        let mut parts = [IoSlice::new(b""), IoSlice::new(b"abc")];
        let result = block_on(write_all_vectored(&mut writer, &mut parts)).map_err(|error| error.kind());
        ensure!(
            result == Err(ErrorKind::WriteZero),
            "wrong-result",
            "A writer that takes 0 of 3 bytes gave {result:?}; `WriteZero` is needed."
        );
    }

    /// While there are too many open files, others on this thread go on, and the loop does not turn.
    "10.6" fn waits_for_a_free_descriptor() {
        sleeps_on();
        let (listener, _client) = knocked();
        let (accepted, tries) = block_on(async {
            fail_accept(libc::EMFILE);
            let closes_files = async {
                sleep(Duration::from_millis(200)).await;
                room_again();
                ledger().count(Event::Call("accept"))
            };
            join(watch("accepter", accept_patiently(&listener)), closes_files).await
        });
        ensure!(accepted.is_ok(), "wrong-result", "With room again, it gave {accepted:?}.");
        ensure!(
            tries <= 50,
            "busy-poll",
            "200 ms without a free descriptor took {} of accept; 50 are more than enough.",
            many(tries, "call")
        );
        // Whose pause is over in this time has its turn before the one who counts.
        ensure!(
            tries >= 2,
            "wrong-result",
            "For 200 ms there was no free descriptor, and in this time accept was called {}. The first pause was \
             longer than that: when there is a descriptor again, the client waits for the end of the pause.",
            times(tries)
        );
    }

    /// It is a future that waits, and not the thread: the others have their turns meanwhile.
    "10.6" fn others_have_their_turns() {
        sleeps_on();
        let (listener, _client) = knocked();
        let (_, (turns, tries)) = block_on(async {
            fail_accept(libc::EMFILE);
            let (begun, mut turns) = (Instant::now(), 0);
            let other = async {
                while begun.elapsed() < Duration::from_millis(100) {
                    yield_now().await;
                    turns += 1;
                }
                room_again();
                (turns, ledger().count(Event::Call("accept")))
            };
            join(accept_patiently(&listener), other).await
        });
        let (turns_had, tries_made) = (many(turns, "turn"), many(tries, "call"));
        ensure!(
            turns > 3 * tries,
            "waits-for-one",
            "Beside {tries_made} of accept without a free descriptor, another future that gave way over and over \
             had {turns_had}. Between two tries there is time for many: the thread slept."
        );
    }

    /// Descriptors are not the only thing that may be short.
    "10.6" fn waits_for_whatever_is_short() {
        let (listener, _client) = knocked();
        for (name, errno, limit) in [
            ("ENFILE", libc::ENFILE, 30),
            ("ENOBUFS", libc::ENOBUFS, 30),
            ("ENOMEM", libc::ENOMEM, 30),
            // Longer than one pause, or a few.
            ("EMFILE", libc::EMFILE, 600),
        ] {
            fail_accept(errno);
            let limit = Duration::from_millis(limit);
            let accepted = block_on(timeout(limit, accept_patiently(&listener)));
            sys::inject(None);
            // Only the check's own limit may end it.
            if let Ok(accepted) = accepted {
                fail!(
                    "wrong-result",
                    "accept failed with `{name}` for {} ms, which may pass, and it did not wait: {accepted:?}.",
                    limit.as_millis()
                );
            }
        }
    }

    /// What waiting does not mend is returned.
    "10.6" fn other_errors_are_returned() {
        let (listener, _client) = knocked();
        fail_accept(libc::EINVAL);
        let limit = scaled(Duration::from_secs(1));
        let result = block_on(timeout(limit, accept_patiently(&listener)));
        sys::inject(None);
        let Ok(result) = result else {
            let calls = many(ledger().count(Event::Call("accept")), "call");
            fail!(
                "wrong-result",
                "accept failed with `EINVAL`, which stays as it is. After {calls} of accept it had not returned; the \
                 error is needed."
            );
        };
        let errno = result.map(drop).map_err(|error| error.raw_os_error());
        ensure!(
            errno == Err(Some(libc::EINVAL)),
            "wrong-result",
            "accept failed with `EINVAL`, which stays as it is, and it gave {errno:?}; that error is needed."
        );
    }
}

/// What is told of a dialler that does not come back.
const STILL_WAITS: (&str, &str) =
    ("not-on-time", "`connect_any` sleeps on. What does not answer has its limit, and that is over.");

/// Whether there is room for a descriptor again.
static ROOM: AtomicBool = AtomicBool::new(false);

/// From now on, accept takes what comes.
fn room_again() {
    sys::inject(None);
    ROOM.store(true, Ordering::Relaxed);
}

/// What is told of an accepter that does not come back.
fn sleeps_on() {
    if_it_sleeps(|| match ROOM.load(Ordering::Relaxed) {
        true => ("slept-through", "There is a free descriptor again, and a client; `accept_patiently` sleeps on."),
        false => ("waits-for-one", "The thread sleeps, and with it the other future on it, which would close a file."),
    });
}

/// All the bytes have arrived, and no others.
fn arrived(got: &[u8], needed: &[u8], how: &str) {
    let right = got.iter().zip(needed).take_while(|(got, needed)| got == needed).count();
    let then = match right {
        _ if right == got.len() => "then no more came",
        _ if right == needed.len() => "then more came",
        _ => "the next one is another",
    };
    let (count, all) = (got.len(), needed.len());
    ensure!(
        got == needed,
        "wrong-bytes",
        "{all} bytes were to be written, {how}, and {count} arrived. The first {right} of them are right; {then}."
    );
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

/// A listener of the subject's, and a client that knocks.
fn knocked() -> (TcpListener, net::TcpStream) {
    unrecorded(|| {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0)).unwrap();
        let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener, client)
    })
}

/// A pipe, its reading end ready for the subject.
fn pipe() -> (Async<PipeReader>, io::PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    (unrecorded(|| Async::new(reader).unwrap()), writer)
}

/// One poll of a read of up to 8 bytes, which counts the attempts.
fn poll_read(
    reader: &Async<PipeReader>,
    cx: &mut Context<'_>,
    attempts: &Cell<u32>,
) -> Poll<io::Result<usize>> {
    reader.poll_io(Direction::Read, cx, |mut pipe| {
        attempts.set(attempts.get() + 1);
        pipe.read(&mut [0; 8])
    })
}

/// What `TcpStream::connect` does.
async fn dial(address: SocketAddr) -> io::Result<()> {
    let socket = Async::new(sys::begin_connect(address)?)?;
    poll_fn(|cx| socket.poll_io(Direction::Write, cx, connected)).await
}

/// Sends back what comes first.
async fn echo(client: &Async<net::TcpStream>) -> io::Result<usize> {
    let mut buffer = [0; 8];
    let mut read = |mut io: &net::TcpStream| io.read(&mut buffer);
    let count = poll_fn(|cx| client.poll_io(Direction::Read, cx, &mut read)).await?;
    let write = |mut io: &net::TcpStream| io.write(&buffer[..count]);
    poll_fn(|cx| client.poll_io(Direction::Write, cx, write)).await
}

/// Lets every accept fail.
fn fail_accept(errno: i32) {
    let errors: &[_] = match errno {
        libc::EMFILE => &[("accept", libc::EMFILE)],
        libc::ENFILE => &[("accept", libc::ENFILE)],
        libc::ENOBUFS => &[("accept", libc::ENOBUFS)],
        libc::ENOMEM => &[("accept", libc::ENOMEM)],
        _ => &[("accept", libc::EINVAL)],
    };
    sys::inject(Some(Faults { seed: 1, one_in: 1, errors, short: false }));
}

/// A socket into which no further byte goes, ready for the subject; its other end, and how many bytes
/// are in between.
fn full() -> (Async<UnixStream>, UnixStream, usize) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let written = std::iter::from_fn(|| (&ours).write(&[0; 4096]).ok()).sum();
    (unrecorded(|| Async::new(ours).unwrap()), theirs, written)
}

/// Has rows, and can watch none of them but the pipe's.
struct Refuses;

impl Backend for Refuses {
    fn changed(&mut self, row: usize, _: i32, events: c_short) -> io::Result<()> {
        if row == 0 || events == 0 { Ok(()) } else { Err(ErrorKind::InvalidInput.into()) }
    }

    fn wait(&mut self, _: &mut [pollfd], _: Option<Duration>) -> io::Result<Vec<usize>> {
        Ok(Vec::new())
    }
}

/// Bytes that tell where they belong.
fn numbered(count: usize) -> Vec<u8> {
    let word = |at: u32| at.wrapping_mul(2_654_435_761).to_le_bytes();
    (0..count.div_ceil(4) as u32).flat_map(word).take(count).collect()
}

/// A writer that takes so many bytes at a time, and is pending before every other write.
struct Narrow {
    take: usize,
    written: Vec<u8>,
    /// How often it took something.
    calls: usize,
    /// After how many of these it fails.
    fails_after: usize,
    /// The lengths of what it was offered at each, without those that are 0.
    offered: Vec<Vec<usize>>,
    /// What was done to it that is not writing.
    done: Option<&'static str>,
    rest: bool,
}

impl Narrow {
    /// More writes than any check needs.
    const ENOUGH: usize = 5000;

    fn new(take: usize) -> Self {
        let (written, offered) = (Vec::new(), Vec::new());
        Narrow { take, written, calls: 0, fails_after: usize::MAX, offered, done: None, rest: false }
    }

    /// Says what goes on without an end. The ledger knows of polls and wakes only.
    fn has_had_enough(&self) {
        let (calls, taken) = (self.calls, self.written.len());
        ensure!(
            self.take > 0,
            "never-returns",
            "The writer is full: it takes 0 bytes. It was written to {calls} times, and there is no end to it."
        );
        fail!(
            "wrong-bytes",
            "A writer that takes {} at a time was written to {calls} times. It has taken {taken}, and there is no \
             end to it.",
            many(self.take, "byte")
        );
    }

    /// Nobody has done anything to it but write.
    fn is_as_it_was(&self) {
        if let Some(done) = self.done {
            fail!("overwritten", "All was written, and then the writer was {done}. Its owner may have more to write.");
        }
    }

    fn take(&mut self, parts: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.rest = !self.rest;
        if self.rest {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.calls == self.fails_after {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        self.calls += 1;
        if self.calls == Self::ENOUGH {
            self.has_had_enough();
        }
        let lengths = parts.iter().map(|part| part.len()).filter(|length| *length > 0);
        self.offered.push(lengths.collect());
        let bytes = parts.iter().flat_map(|part| part.iter().copied()).take(self.take);
        let before = self.written.len();
        self.written.extend(bytes);
        Poll::Ready(Ok(self.written.len() - before))
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(&[IoSlice::new(bytes)], cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.take(parts, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.done = Some("flushed");
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.done = Some("closed");
        Poll::Ready(Ok(()))
    }
}
