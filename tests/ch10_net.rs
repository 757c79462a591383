//! Layer 10, invariant by invariant, on the backend that `UNDER_AWAIT_REACTOR` names; the last test
//! runs all of them on the other one.

#![cfg(all(unix, not(miri)))] // Sockets.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::{join, join3};
use futures::io::{self as aio, AsyncBufReadExt, AsyncRead, AsyncReadExt};
use futures::io::{AsyncWriteExt, BufReader};
use futures::stream::StreamExt;

use support::net::{black_hole, pair, refused, reset};
use support::reactors::{Liar, by};
use support::{Event, Ledger, ledger, within};
use under_await::ch08_poll::{Backend, ask_by};
use under_await::ch09_timer::{block_on, sleep, timeout};
use under_await::ch10_net::{TcpListener, TcpStream, UdpSocket};
use under_await::sys;
use under_await::sys::{Address, Faults};

use extend::accept_patiently;

mod support;

#[path = "../chapters/10-net/extend.rs"]
#[allow(dead_code, unreachable_pub)]
mod extend;

#[path = "../chapters/10-net/example.rs"]
#[allow(dead_code)]
mod example;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(30);

/// A port that the system chooses, on this machine only.
const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

// ── Addresses ────────────────────────────────────────────────────────────────────────────────

#[test]
fn an_address_comes_back_as_it_went() {
    for text in ["127.0.0.1:80", "255.1.2.3:65535", "0.0.0.0:0", "[::1]:443", "[fe80::1%7]:12345"] {
        let address = text.parse::<SocketAddr>().unwrap();
        assert_eq!(SocketAddr::try_from(Address::from(address)).unwrap(), address);
    }
    let mut full = "[2001:db8::8]:9".parse::<net::SocketAddrV6>().unwrap();
    full.set_flowinfo(0x0102_0304);
    full.set_scope_id(u32::MAX);
    let address = SocketAddr::from(full);
    assert_eq!(SocketAddr::try_from(Address::from(address)).unwrap(), address);
    let nothing = SocketAddr::try_from(Address::room()).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::InvalidData);
}

#[test]
fn both_sides_agree_on_who_they_are() {
    for ip in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(ip.parse().unwrap(), 0);
        if net::TcpListener::bind(address).is_err() {
            println!("there is no {ip} here");
            continue;
        }
        within(LIMIT, move || {
            block_on(async {
                let listener = TcpListener::bind(address)?;
                let port = listener.local_addr()?;
                let (ours, accepted) = join(TcpStream::connect(port), listener.accept()).await;
                let (mut ours, (mut theirs, peer)) = (ours?, accepted?);
                assert_eq!(ours.peer_addr()?, port);
                assert_eq!(ours.local_addr()?, peer);
                assert_eq!(theirs.peer_addr()?, peer);
                assert_eq!(theirs.local_addr()?, port);
                ours.write_all(b"to and fro").await?;
                let mut got = [0; 10];
                theirs.read_exact(&mut got).await?;
                assert_eq!(&got, b"to and fro");
                io::Result::Ok(())
            })
            .unwrap();
        });
    }
}

// ── Invariant 1: never blocked ───────────────────────────────────────────────────────────────

/// Invariant 1. And a program that this one starts does not get them.
#[test]
fn every_socket_is_non_blocking_and_closed_on_exec() {
    within(LIMIT, || {
        block_on(async {
            let listener = TcpListener::bind(ANY)?;
            let address = listener.local_addr()?;
            let (ours, accepted) = join(TcpStream::connect(address), listener.accept()).await;
            let (theirs, _) = accepted?;
            check_flags(&ours?);
            check_flags(&theirs);
            let (one, _other) = pair();
            check_flags(&TcpStream::from_std(one)?);
            io::Result::Ok(())
        })
        .unwrap();
    });
}

fn check_flags(stream: &TcpStream) {
    let fd = descriptor(stream);
    assert!(flags(&fd, libc::F_GETFL) & libc::O_NONBLOCK != 0, "{stream:?} may block");
    assert!(flags(&fd, libc::F_GETFD) & libc::FD_CLOEXEC != 0, "{stream:?} is inherited");
}

/// The descriptor of `stream`, which does not hand it out: its `Debug` output has the number.
fn descriptor(stream: &TcpStream) -> BorrowedFd<'_> {
    let text = format!("{stream:?}");
    let number = text.split("fd: ").last().expect("std shows the descriptor");
    let number = number.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    // SAFETY: the descriptor belongs to `stream`, which outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(number.parse().unwrap()) }
}

fn flags(io: &impl AsFd, command: i32) -> i32 {
    // SAFETY: the descriptor is borrowed, and neither command takes an argument.
    unsafe { libc::fcntl(io.as_fd().as_raw_fd(), command) }
}

/// Invariant 1. A client that says nothing keeps nobody from anything.
#[test]
fn a_silent_client_does_not_stop_the_clock() {
    within(LIMIT, || {
        block_on(async {
            let listener = TcpListener::bind(ANY)?;
            let _silent = net::TcpStream::connect(listener.local_addr()?)?;
            let (mut stream, _) = listener.accept().await?;
            let read = timeout(Duration::from_millis(30), stream.read(&mut [0; 8])).await;
            assert!(read.is_err(), "{read:?}");
            let accept = timeout(Duration::from_millis(30), listener.accept()).await;
            assert!(accept.is_err(), "{accept:?}");
            io::Result::Ok(())
        })
        .unwrap();
    });
}

/// Invariant 1. Waiting costs no processor time.
#[test]
fn waiting_costs_nothing() {
    alone("waiting_costs_nothing", || {
        block_on(async {
            let listener = TcpListener::bind(ANY).unwrap();
            let _client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let before = sys::cpu_time();
            let mut byte = [0];
            let waits = join(stream.read(&mut byte), listener.accept());
            assert!(timeout(Duration::from_secs(1), waits).await.is_err());
            let spent = sys::cpu_time().zip(before).map(|(now, then)| now - then);
            println!("1 s of waiting took {spent:?} of CPU time");
            assert!(spent.unwrap_or_default() <= Duration::from_millis(10), "{spent:?}");
        });
    });
}

/// A backend may have to be told by the descriptor that nobody waits for it any more: it is open still.
#[test]
fn the_row_goes_before_the_descriptor() {
    struct Looks {
        inner: Box<dyn Backend>,
        /// The descriptor of each row.
        fds: BTreeMap<usize, RawFd>,
    }
    impl Backend for Looks {
        fn changed(&mut self, row: usize, fd: RawFd, events: libc::c_short) -> io::Result<()> {
            if let Some(before) = self.fds.insert(row, fd).filter(|before| *before != -1) {
                // SAFETY: `F_GETFD` takes no argument, and on a closed descriptor it fails.
                assert_ne!(unsafe { libc::fcntl(before, libc::F_GETFD) }, -1, "{before} is closed");
            }
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
    alone("the_row_goes_before_the_descriptor", || {
        let inner = by(&env::var("UNDER_AWAIT_REACTOR").unwrap_or_default());
        ask_by(Box::new(Looks { inner, fds: BTreeMap::new() })).unwrap();
        block_on(async {
            let listener = TcpListener::bind(ANY).unwrap();
            let address = listener.local_addr().unwrap();
            let (ours, theirs) = join(TcpStream::connect(address), listener.accept()).await;
            let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
            assert!(timeout(Duration::from_millis(5), (&ours).read(&mut [0])).await.is_err());
            drop((ours, theirs, UdpSocket::bind(ANY)));
        });
    });
}

// ── Invariant 2: try again ───────────────────────────────────────────────────────────────────

/// Invariant 2. Polls without a reason answer `Pending`, and lose nothing.
#[test]
fn a_false_wake_reads_nothing_and_loses_nothing() {
    within(LIMIT, || {
        let (one, mut other) = pair();
        let mut stream = TcpStream::from_std(one).unwrap();
        let mut buffer = [0; 8];
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            assert!(Pin::new(&mut stream).poll_read(&mut cx, &mut buffer).is_pending());
        }
        other.write_all(b"late").unwrap();
        assert_eq!(block_on(stream.read(&mut buffer)).unwrap(), 4);
    });
}

/// Invariant 2. After a short read the next one does not try: it waits. So each request costs three
/// system calls, as in a loop written by hand: the wait, the read, the write.
#[test]
fn a_request_costs_three_system_calls() {
    within(LIMIT, || {
        let [by_hand, ours] = [echo_by_hand, echo].map(calls_of);
        println!(
            "{REQUESTS} requests, waits, reads and writes: {by_hand:?} by hand, {ours:?} ours"
        );
        // The last wait and the last read find the end.
        assert_eq!(by_hand, [REQUESTS + 1, REQUESTS + 1, REQUESTS]);
        let [waits, reads, writes] = ours;
        assert!(waits <= REQUESTS + 2, "{waits} waits");
        // The first read may come too early.
        assert!((REQUESTS..=REQUESTS + 2).contains(&reads), "{reads} reads");
        assert_eq!(writes, REQUESTS);
    });
}

const REQUESTS: u64 = 1000;

/// How often `server`, which serves one client, waits, reads and writes. It does nothing else.
fn calls_of(server: fn(net::TcpListener, &Ledger)) -> [u64; 3] {
    let (ledger, listener) = (Ledger::open(), net::TcpListener::bind("127.0.0.1:0").unwrap());
    Ledger::close();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = net::TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        for request in 0..REQUESTS {
            // The server is asleep by then, most of the time.
            thread::sleep(Duration::from_micros(50));
            stream.write_all(&request.to_le_bytes()).unwrap();
            let mut answer = [0; 8];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, request.to_le_bytes());
        }
    });
    server(listener, &ledger);
    client.join().unwrap();
    let calls = |name| ledger.count(Event::Call(name));
    let found = [calls("poll") + calls("select"), calls("recv"), calls("send")];
    assert_eq!(found.iter().sum::<u64>(), ledger.lines(), "there were other calls");
    found
}

fn echo(listener: net::TcpListener, ledger: &Ledger) {
    block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        ledger.attach();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                count => stream.write_all(&buffer[..count]).await.unwrap(),
            }
        }
        Ledger::close();
    });
}

fn echo_by_hand(listener: net::TcpListener, ledger: &Ledger) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    ledger.attach();
    let mut row = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut buffer = [0; 4096];
    loop {
        // SAFETY: `row` is one row, and ours.
        sys::call("poll", || unsafe { libc::poll(&mut row, 1, -1) }).unwrap();
        match sys::recv(&stream, &mut buffer).unwrap() {
            0 => break,
            count => assert_eq!(sys::send(&stream, &buffer[..count]).unwrap(), count),
        }
    }
    Ledger::close();
}

/// Invariants 2 and 3. A short read is followed by a wait, and the end of the stream ends the wait.
#[test]
fn after_the_data_comes_the_end() {
    within(LIMIT, || {
        let (one, mut other) = pair();
        let mut stream = TcpStream::from_std(one).unwrap();
        other.write_all(b"ten bytes.").unwrap();
        other.shutdown(Shutdown::Write).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(block_on(stream.read(&mut buffer)).unwrap(), 10);
        assert_eq!(block_on(stream.read(&mut [])).unwrap(), 0, "no room is no reason to wait");
        for _ in 0..3 {
            assert_eq!(block_on(stream.read(&mut buffer)).unwrap(), 0);
        }
    });
}

/// Invariant 2. After a short read there is a wait, but not for a buffer without room; and after the end
/// there is none, for the end stays.
#[test]
fn neither_no_room_nor_the_end_is_waited_for() {
    within(LIMIT, || {
        let (one, mut other) = pair();
        let mut stream = TcpStream::from_std(one).unwrap();
        let mut buffer = [0; 64];
        other.write_all(b"ten bytes.").unwrap();
        assert_eq!(block_on(stream.read(&mut buffer)).unwrap(), 10);
        let mut cx = Context::from_waker(Waker::noop());
        let none = Pin::new(&mut stream).poll_read(&mut cx, &mut []);
        assert!(matches!(none, Poll::Ready(Ok(0))), "{none:?}");
        other.shutdown(Shutdown::Write).unwrap();
        assert_eq!(block_on(stream.read(&mut buffer)).unwrap(), 0);
        let ledger = Ledger::open();
        for _ in 0..3 {
            assert_eq!(block_on(stream.read(&mut buffer)).unwrap(), 0);
        }
        assert_eq!((ledger.count(Event::Call("recv")), ledger.lines()), (3, 3));
    });
}

// ── Invariant 3: partial is normal ───────────────────────────────────────────────────────────

const EIGHT_MIB: usize = 8 << 20;

/// Invariant 3. What is written arrives, once and in order.
#[test]
fn eight_mib_to_a_slow_peer_arrive_as_they_went() {
    within(3 * LIMIT, || write_to_slow_peer(EIGHT_MIB, None));
}

#[test]
fn eight_mib_from_a_slow_peer_arrive_as_they_went() {
    within(3 * LIMIT, || read_from_slow_peer(EIGHT_MIB, None));
}

/// Invariant 3, whatever else happens: signals, calls that would wait after all, short transfers and
/// readiness that is not there.
#[test]
fn no_fault_changes_a_byte() {
    within(6 * LIMIT, || {
        for seed in 1..=6 {
            write_to_slow_peer(EIGHT_MIB / 8, Some(faults(seed)));
            read_from_slow_peer(EIGHT_MIB / 8, Some(faults(seed)));
        }
        write_to_slow_peer(EIGHT_MIB, Some(faults(7)));
        read_from_slow_peer(EIGHT_MIB, Some(faults(8)));
    });
}

/// Every third call goes wrong.
fn faults(seed: u64) -> Faults {
    Faults {
        seed: 0x9E37_79B9_7F4A_7C15 ^ seed,
        one_in: 3,
        errors: &[
            ("poll", libc::EINTR),
            ("select", libc::EINTR),
            ("accept", libc::EINTR),
            ("accept", libc::EAGAIN),
            ("accept", libc::ECONNABORTED),
            ("connect", libc::EINTR),
            ("connect", -libc::EINTR),
            ("getsockopt", libc::EINTR),
            ("getpeername", libc::EINTR),
            ("recv", libc::EINTR),
            ("recv", libc::EAGAIN),
            ("send", libc::EINTR),
            ("send", libc::EAGAIN),
            ("sendto", libc::EINTR),
            ("sendto", libc::EAGAIN),
            ("recvfrom", libc::EINTR),
            ("recvfrom", libc::EAGAIN),
        ],
        short: true,
    }
}

/// From now on all that `faults` says goes wrong on this thread, and its reactor lies; or nothing does,
/// and it does not.
fn go_wrong(faults: Option<Faults>) {
    let backend = by(&env::var("UNDER_AWAIT_REACTOR").unwrap_or_default());
    ask_by(match faults {
        Some(Faults { seed, .. }) => Liar::new(backend, seed as u32),
        None => backend,
    })
    .unwrap();
    sys::inject(faults);
}

fn write_to_slow_peer(count: usize, faults: Option<Faults>) {
    let bytes = numbered(count);
    let (waits, has_to_wait) = mpsc::channel();
    let (address, peer) = {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Until there is no room left. An error means that all of it has found room.
            let _ = has_to_wait.recv();
            let (mut got, mut buffer) = (Vec::<u8>::new(), [0; 50_000]);
            loop {
                if got.len() / 1_000_000 != (got.len() + buffer.len()) / 1_000_000 {
                    thread::sleep(Duration::from_millis(5));
                }
                match stream.read(&mut buffer).unwrap() {
                    0 => return got,
                    count => got.extend(&buffer[..count]),
                }
            }
        });
        (address, peer)
    };
    go_wrong(faults);
    block_on(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut writing = stream.write_all(&bytes);
        let mut waited = false;
        let written = poll_fn(|cx| {
            let poll = Pin::new(&mut writing).poll(cx);
            if poll.is_pending() {
                waited = true;
                let _ = waits.send(());
            }
            poll
        });
        written.await.unwrap();
        drop(waits);
        assert!(waited || count < EIGHT_MIB, "all of it has found room");
        stream.close().await.unwrap();
    });
    go_wrong(None);
    let got = peer.join().unwrap();
    assert_eq!(got.len(), bytes.len());
    assert!(got == bytes, "other bytes arrived");
}

fn read_from_slow_peer(count: usize, faults: Option<Faults>) {
    let bytes = numbered(count);
    let listener = TcpListener::bind(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    let sent = bytes.clone();
    let peer = thread::spawn(move || {
        let mut stream = net::TcpStream::connect(address).unwrap();
        for (turn, part) in sent.chunks(70_001).enumerate() {
            if turn % 16 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
            stream.write_all(part).unwrap();
        }
    });
    go_wrong(faults);
    let got = block_on(async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        got
    });
    go_wrong(None);
    peer.join().unwrap();
    assert_eq!(got.len(), bytes.len());
    assert!(got == bytes, "other bytes arrived");
}

/// Bytes that tell where they belong.
fn numbered(count: usize) -> Vec<u8> {
    (0..count as u32)
        .step_by(4)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(count)
        .collect()
}

/// Invariant 3. Who only ever meant to read and write is served by what others wrote for
/// [`futures::io`].
#[test]
fn the_tools_of_futures_work_on_it() {
    within(LIMIT, || {
        block_on(async {
            let listener = TcpListener::bind(ANY)?;
            let address = listener.local_addr()?;
            let server = async {
                let (stream, _) = listener.accept().await?;
                let (reader, mut writer) = stream.split();
                let count = aio::copy(BufReader::new(reader), &mut writer).await?;
                writer.close().await?;
                io::Result::Ok(count)
            };
            let client = async {
                let stream = TcpStream::connect(address).await?;
                let (mut writer, lines) = (&stream, BufReader::new(&stream).lines());
                writer.write_all(b"one\ntwo\nthree").await?;
                writer.close().await?;
                let lines = lines.map(Result::unwrap).collect::<Vec<_>>().await;
                io::Result::Ok(lines)
            };
            let (count, lines) = join(server, client).await;
            assert_eq!(count?, 13);
            assert_eq!(lines?, ["one", "two", "three"]);
            io::Result::Ok(())
        })
        .unwrap();
    });
}

/// One future reads and another one writes, both wait at the same time, and each gets its wake.
#[test]
fn both_halves_can_wait_at_once() {
    within(LIMIT, || {
        let (one, mut other) = pair();
        let stream = TcpStream::from_std(one).unwrap();
        let bytes = numbered(EIGHT_MIB);
        let peer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            other.write_all(b"now").unwrap();
            thread::sleep(Duration::from_millis(50));
            let mut got = Vec::new();
            other.read_to_end(&mut got).unwrap();
            got
        });
        let start = Instant::now();
        let (read, written) = block_on(join(
            async {
                let mut word = [0; 3];
                (&stream).read_exact(&mut word).await.unwrap();
                (word, start.elapsed())
            },
            async {
                (&stream).write_all(&bytes).await.unwrap();
                (&stream).close().await.unwrap();
                start.elapsed()
            },
        ));
        assert_eq!(&read.0, b"now");
        assert!(read.1 < written, "the reader waited for the writer: {read:?}, {written:?}");
        assert!(peer.join().unwrap() == bytes);
    });
}

/// Closing ends the writing half; what the peer still sends is read.
#[test]
fn after_close_one_can_read() {
    within(LIMIT, || {
        let (one, mut other) = pair();
        let mut stream = TcpStream::from_std(one).unwrap();
        let peer = thread::spawn(move || {
            let mut got = Vec::new();
            other.read_to_end(&mut got).unwrap();
            other.write_all(b"answer").unwrap();
            got
        });
        let answer = block_on(async {
            stream.write_all(b"question").await.unwrap();
            stream.close().await.unwrap();
            stream.close().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        });
        assert_eq!(answer, b"answer");
        assert_eq!(peer.join().unwrap(), b"question");
    });
}

// ── Invariant 4: connected is asked ──────────────────────────────────────────────────────────

#[test]
fn a_refused_connection_is_an_error() {
    within(LIMIT, || {
        let refused = refused();
        for _ in 0..20 {
            let error = block_on(TcpStream::connect(refused.address)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

/// Apple's systems refuse every option to a connection that has failed, and then the error would be
/// theirs: what is to be set is set before.
#[test]
fn a_connection_is_made_ready_before_it_is_begun() {
    within(LIMIT, || {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        block_on(async {});
        let ledger = Ledger::open();
        block_on(TcpStream::connect(listener.local_addr().unwrap())).unwrap();
        let calls = ledger.entries().into_iter().map(|entry| entry.event).collect::<Vec<_>>();
        let at = |name| calls.iter().rposition(|call| *call == Event::Call(name)).expect(name);
        assert!(at("setsockopt") < at("connect"), "{calls:?}");
    });
}

#[test]
fn a_silent_peer_ends_with_the_timeout() {
    within(LIMIT, || {
        let hole = black_hole();
        let start = Instant::now();
        let result =
            block_on(timeout(Duration::from_millis(100), TcpStream::connect(hole.address)));
        assert!(result.is_err(), "{result:?}");
        assert!(start.elapsed() >= Duration::from_millis(100));
    });
}

/// Invariants 2 and 4. Polled over and over before the end, it is pending; then it connects.
#[test]
fn a_false_wake_does_not_connect() {
    within(LIMIT, || {
        let hole = black_hole();
        let mut connecting = pin!(TcpStream::connect(hole.address));
        for _ in 0..100 {
            let poll = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending(), "{poll:?}");
        }
        // Room for one more: the system sends its request again, and this time is answered.
        hole.listener.accept().unwrap();
        let stream = block_on(connecting).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), hole.address);
    });
}

/// Invariant 4, with every third call going wrong.
#[test]
fn no_fault_connects_what_is_refused() {
    within(LIMIT, || {
        let (refused, listener) = (refused(), net::TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        for seed in 1..=100 {
            go_wrong(Some(faults(seed)));
            let error = block_on(TcpStream::connect(refused.address)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "seed {seed}");
            let stream = block_on(TcpStream::connect(address));
            go_wrong(None);
            assert_eq!(stream.unwrap().peer_addr().unwrap(), address, "seed {seed}");
            listener.accept().unwrap();
        }
    });
}

/// Invariant 4. A signal comes when the call has been made: then the connection is under way, and the next
/// call says that it is, or that it is there already.
#[test]
fn a_connect_that_is_interrupted_goes_on() {
    const INTERRUPTED: &[(&str, i32)] = &[("connect", -libc::EINTR)];
    within(LIMIT, || {
        let (hole, listener) = (black_hole(), net::TcpListener::bind("127.0.0.1:0").unwrap());
        let (address, ledger) = (listener.local_addr().unwrap(), ledger());
        for seed in 1..=40 {
            sys::inject(Some(Faults { seed, one_in: 2, errors: INTERRUPTED, short: false }));
            let mut connecting = pin!(TcpStream::connect(hole.address));
            let poll = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending(), "seed {seed}: {poll:?}");
            let stream = block_on(TcpStream::connect(address));
            sys::inject(None);
            assert_eq!(stream.unwrap().peer_addr().unwrap(), address, "seed {seed}");
            listener.accept().unwrap();
        }
        let calls = ledger.count(Event::Call("connect"));
        assert!(calls > 100, "{calls} calls for 80 connections: few were interrupted");
    });
}

// ── Invariant 5: one fails alone ─────────────────────────────────────────────────────────────

#[test]
fn a_reset_ends_one_connection_only() {
    within(LIMIT, || {
        block_on(async {
            let listener = TcpListener::bind(ANY)?;
            let address = listener.local_addr()?;
            let broken = net::TcpStream::connect(address)?;
            let (mut one, _) = listener.accept().await?;
            let mut healthy = net::TcpStream::connect(address)?;
            let (mut two, _) = listener.accept().await?;
            reset(broken);
            let error = one.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let error = one.write(b"anybody there?").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            one.close().await?;

            two.write_all(b"still here").await?;
            let mut got = [0; 10];
            healthy.read_exact(&mut got)?;
            assert_eq!(&got, b"still here");
            let _third = net::TcpStream::connect(address)?;
            listener.accept().await?;
            io::Result::Ok(())
        })
        .unwrap();
    });
}

/// Invariant 5. Clients that go away before their turn are no error of the listener's.
#[test]
fn a_client_that_went_away_is_passed_over() {
    within(LIMIT, || {
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        let _client = net::TcpStream::connect(address).unwrap();
        let errors = &[("accept", libc::ECONNABORTED)];
        for seed in 1..=20 {
            sys::inject(Some(Faults { seed, one_in: 2, errors, short: false }));
            let accepted = block_on(async {
                let _next = net::TcpStream::connect(address);
                listener.accept().await
            });
            sys::inject(None);
            accepted.unwrap();
        }
    });
}

/// Invariant 5. Too many open files: each accept says so at once, and none of them takes the
/// connection away. With room again it is there.
#[test]
fn without_a_descriptor_accept_fails_and_nothing_is_lost() {
    alone("without_a_descriptor_accept_fails_and_nothing_is_lost", || {
        let listener = TcpListener::bind(ANY).unwrap();
        block_on(async {
            let _client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let files = use_up_all_descriptors();
            for _ in 0..3 {
                let accepted = timeout(Duration::from_secs(5), listener.accept()).await.unwrap();
                assert_eq!(accepted.unwrap_err().raw_os_error(), Some(libc::EMFILE));
            }
            drop(files);
            listener.accept().await.unwrap();
        });
    });
}

/// What the application is to do: wait a little. Others on the thread go on meanwhile, and one of
/// them closes something.
#[test]
fn a_patient_accept_outlasts_the_shortage() {
    alone("a_patient_accept_outlasts_the_shortage", || {
        let listener = TcpListener::bind(ANY).unwrap();
        let _client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        block_on(sleep(Duration::from_millis(1)));
        let (files, ledger) = (use_up_all_descriptors(), ledger());
        let start = Instant::now();
        let (accepted, tries) = block_on(join(accept_patiently(&listener), async {
            sleep(Duration::from_millis(300)).await;
            drop(files);
            ledger.count(Event::Call("accept"))
        }));
        accepted.unwrap();
        println!("{tries} tries in 300 ms, accepted after {:?}", start.elapsed());
        assert!((2..=60).contains(&tries), "{tries} tries");
    });
}

fn use_up_all_descriptors() -> Vec<std::fs::File> {
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    // SAFETY: `limit` is only read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    files
}

/// A peer that has gone is an error, and not a signal, also where the program does not ignore
/// SIGPIPE, as a C program does not.
#[test]
fn a_peer_that_has_gone_is_no_signal() {
    alone("a_peer_that_has_gone_is_no_signal", || {
        // SAFETY: the default action is no handler of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = TcpListener::bind(ANY).unwrap();
        block_on(async {
            // Both kinds: connected by us, and accepted by us.
            let ours = TcpStream::connect(address).await.unwrap();
            let gone = listener.accept().unwrap().0;
            let client = net::TcpStream::connect(accepting.local_addr().unwrap()).unwrap();
            let (accepted, _) = accepting.accept().await.unwrap();
            reset(gone);
            reset(client);
            for mut stream in [ours, accepted] {
                // The reset may take a moment, and is told once; from then on it is EPIPE.
                let failed = async { while stream.write(b"hello?").await.is_ok() {} };
                timeout(Duration::from_secs(5), failed).await.expect("an error");
                let error = stream.write(b"hello?").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            }
        });
    });
}

// ── Cancel safety ────────────────────────────────────────────────────────────────────────────

/// Futures that were polled, and dropped before they were ready, took nothing with them.
#[test]
fn what_is_dropped_takes_nothing_with_it() {
    within(LIMIT, || {
        block_on(async {
            let listener = TcpListener::bind(ANY)?;
            let address = listener.local_addr()?;
            abandon(listener.accept()).await;
            abandon(listener.incoming().next()).await;
            let mut client = net::TcpStream::connect(address)?;
            let (mut stream, peer) = listener.accept().await?;
            assert_eq!(peer, client.local_addr()?);

            abandon(stream.read(&mut [0; 8])).await;
            client.write_all(b"all of it")?;
            let mut got = [0; 9];
            stream.read_exact(&mut got).await?;
            assert_eq!(&got, b"all of it");
            // After a short read, the next one waits without having tried.
            assert_eq!(write_then_read(&mut client, &mut stream).await?, 3);
            abandon(stream.read(&mut [0; 8])).await;
            assert_eq!(write_then_read(&mut client, &mut stream).await?, 3);

            let block = vec![7; 1 << 20];
            let mut written = 0;
            loop {
                let write = stream.write(&block);
                match timeout(Duration::from_millis(100), write).await {
                    Ok(count) => written += count?,
                    Err(_) => break,
                }
            }
            drop(stream);
            let mut got = Vec::new();
            client.read_to_end(&mut got)?;
            assert_eq!(got.len(), written, "a write that was dropped wrote nothing");

            let (one, other) = (UdpSocket::bind(ANY)?, UdpSocket::bind(ANY)?);
            abandon(one.recv_from(&mut [0; 8])).await;
            other.send_to(b"whole", one.local_addr()?).await?;
            assert_eq!(one.recv_from(&mut [0; 8]).await?, (5, other.local_addr()?));
            io::Result::Ok(())
        })
        .unwrap();
    });
}

/// Polls `future` until it waits, lets the reactor have a turn, and drops it.
async fn abandon<F: Future>(future: F) {
    let waited = timeout(Duration::from_millis(10), future).await;
    assert!(waited.is_err(), "it was ready");
}

async fn write_then_read(client: &mut net::TcpStream, stream: &mut TcpStream) -> io::Result<usize> {
    client.write_all(b"abc")?;
    stream.read(&mut [0; 64]).await
}

/// A connect that is dropped closes its socket: a peer that accepts it reads the end.
#[test]
fn a_dropped_connect_gives_up() {
    within(LIMIT, || {
        let hole = black_hole();
        let before = open_descriptors();
        block_on(abandon(TcpStream::connect(hole.address)));
        // Other tests open and close descriptors too, but not hundreds.
        for _ in 0..500 {
            let mut connecting = pin!(TcpStream::connect(hole.address));
            let poll = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending());
        }
        let after = open_descriptors();
        assert!(after < before + 250, "{before} descriptors, then {after}");
    });
}

fn open_descriptors() -> usize {
    // SAFETY: `F_GETFD` takes no argument, and on a closed descriptor it fails.
    (0..2048).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } != -1).count()
}

// ── UDP, and what is set ─────────────────────────────────────────────────────────────────────

#[test]
fn datagrams_arrive_whole() {
    within(LIMIT, || udp(1, None));
}

/// The same, with every third call going wrong. A datagram is never cut.
#[test]
fn no_fault_cuts_a_datagram() {
    within(LIMIT, || (1..=20).for_each(|seed| udp(seed as u8, Some(faults(seed)))));
}

fn udp(fill: u8, faults: Option<Faults>) {
    let result = block_on(async {
        let (one, other) = (UdpSocket::bind(ANY)?, UdpSocket::bind(ANY)?);
        let (ours, theirs) = (one.local_addr()?, other.local_addr()?);
        other.connect(ours)?;
        go_wrong(faults);
        let long = vec![fill; 1400];
        let mut buffer = [0; 2000];
        let (sent, got) = join(one.send_to(&long, theirs), other.recv_from(&mut buffer)).await;
        assert_eq!(sent?, 1400);
        assert_eq!(got?, (1400, ours));
        assert_eq!(buffer[..1400], long);

        other.send(b"back").await?;
        assert_eq!(one.recv_from(&mut buffer).await?, (4, theirs));
        // What does not fit is lost: a datagram is read once.
        one.send_to(b"too long", theirs).await?;
        one.send_to(b"next", theirs).await?;
        assert_eq!(other.recv(&mut buffer[..3]).await?, 3);
        assert_eq!(other.recv(&mut buffer).await?, 4);
        io::Result::Ok(())
    });
    go_wrong(None);
    result.unwrap();
}

/// A connected UDP socket hears that nobody is there, from the call after.
#[test]
#[cfg(target_os = "linux")]
fn a_connected_datagram_socket_hears_of_refusal() {
    within(LIMIT, || {
        let nobody = net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind(ANY).unwrap();
        socket.connect(nobody).unwrap();
        let error = block_on(async {
            socket.send(b"hello?").await?;
            socket.recv(&mut [0; 8]).await
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

/// Small writes go out at once, on either side.
#[test]
fn nodelay_is_set_and_inherited() {
    within(LIMIT, || {
        block_on(async {
            let (listener, std) = (TcpListener::bind(ANY)?, net::TcpListener::bind("127.0.0.1:0")?);
            let client = net::TcpStream::connect(listener.local_addr()?)?;
            let (accepted, _) = listener.accept().await?;
            let connected = TcpStream::connect(std.local_addr()?).await?;
            drop(client);
            for stream in [&accepted, &connected] {
                assert!(nodelay(stream), "{stream:?}");
                stream.set_nodelay(false)?;
                assert!(!nodelay(stream), "{stream:?}");
            }
            io::Result::Ok(())
        })
        .unwrap();
    });
}

fn nodelay(stream: &TcpStream) -> bool {
    let twin = descriptor(stream).try_clone_to_owned().unwrap();
    net::TcpStream::from(twin).nodelay().unwrap()
}

/// Connections come one after the other, also when one of them fails.
#[test]
fn incoming_goes_on_after_an_error() {
    within(LIMIT, || {
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        let _clients = [(); 3].map(|()| net::TcpStream::connect(address).unwrap());
        block_on(async {
            let mut incoming = listener.incoming();
            incoming.next().await.unwrap().unwrap();
            let errors = &[("accept", libc::EMFILE)];
            sys::inject(Some(Faults { seed: 1, one_in: 1, errors, short: false }));
            let error = incoming.next().await.unwrap().unwrap_err();
            sys::inject(None);
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            incoming.next().await.unwrap().unwrap();
            incoming.next().await.unwrap().unwrap();
        });
    });
}

/// Three futures on one thread: two clients and a server that talks to one at a time.
#[test]
fn the_second_client_waits_for_the_first() {
    within(LIMIT, || {
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            for _ in 0..2 {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = aio::copy(&stream, &mut &stream).await;
            }
        };
        let seen = RefCell::new(Vec::new());
        let see = |what| seen.borrow_mut().push(what);
        let answered = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.read_exact(&mut [0; 5]).await.unwrap();
            stream
        };
        let (here, is_here) = oneshot::channel();
        let first = async {
            let stream = answered().await;
            see("the first is answered");
            here.send(()).unwrap();
            sleep(Duration::from_millis(50)).await;
            see("the first goes");
            drop(stream);
        };
        let second = async {
            is_here.await.unwrap();
            answered().await;
            see("the second is answered");
        };
        block_on(join3(server, first, second));
        let order = ["the first is answered", "the first goes", "the second is answered"];
        assert_eq!(seen.into_inner(), order);
    });
}

/// A client that we did not write, where there is one.
#[test]
fn curl_reads_a_page() {
    within(LIMIT, || {
        let listener = TcpListener::bind(ANY).unwrap();
        let url = format!("http://{}/page", listener.local_addr().unwrap());
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "5", &url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(curl) = curl else {
            return println!("there is no curl here");
        };
        let served = timeout(Duration::from_secs(6), example::serve_pages(listener, 1));
        block_on(served).expect("curl asks").unwrap();
        let output = curl.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"You asked for /page.\n");
    });
}

// ── Alone, and on the other backend ──────────────────────────────────────────────────────────

/// The variable that tells a test's process that it is one.
const ALONE: &str = "UNDER_AWAIT_ALONE";

/// Runs `body`, a part of the test of that name, in a process of its own.
fn alone(test: &str, body: impl FnOnce()) {
    if env::var(ALONE).as_deref() == Ok(test) {
        Ledger::open();
        return body();
    }
    run(&["--exact", test], |command| command.env(ALONE, test));
}

/// Runs tests of this file in a new process, and panics unless they pass in time.
fn run(args: &[&str], with: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new(env::current_exe().unwrap());
    let command = with(command.args(args).arg("--nocapture").stdin(Stdio::null()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let err = thread::spawn(move || io::read_to_string(&mut err).unwrap_or_default());
    let out = thread::spawn(move || io::read_to_string(&mut out).unwrap_or_default());
    let deadline = Instant::now() + 6 * LIMIT;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    println!("{out}");
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{out}\n{err}");
}

/// Everything above, on the reactor of chapter 7's system call.
#[test]
fn everything_holds_on_select() {
    let this = "everything_holds_on_select";
    if env::var_os("UNDER_AWAIT_REACTOR").is_none() {
        run(&["--skip", this], |command| command.env("UNDER_AWAIT_REACTOR", "select"));
    }
}
