//! Every system call of layers 7 to 10 goes wrong, in every way it may: one site at a time, and all of
//! them at once, in many seeded sequences, on both backends. Then what comes out is right all the same,
//! or it is the very error, from the call that has met it; and the thread goes on with what it has. So
//! does the server of layer 15, with a few clients.

#![cfg(all(unix, not(miri)))] // Sockets.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::panic;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::future::try_join;
use futures::io::{AsyncReadExt, AsyncWriteExt};

use support::reactors::by;
use support::{Event, Ledger, scaled, within};
use under_await::ch07_select;
use under_await::ch08_poll::ask_by;
use under_await::ch15_serve::redis::{Db, talk};
use under_await::net::{TcpListener, TcpStream, UdpSocket};
use under_await::server::{Limits, serve};
use under_await::sys::{self, Faults};
use under_await::{CancelToken, block_on, join};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(30);

/// What goes wrong and does no harm: the call is made again, or was not needed.
const HARMLESS: &[(&str, i32)] = &[
    ("accept", libc::EAGAIN),
    ("accept", libc::ECONNABORTED),
    ("accept", libc::EINTR),
    ("connect", libc::EINTR),
    ("connect", -libc::EINTR),
    ("getpeername", libc::ENOTCONN),
    ("getsockopt", libc::EINTR),
    ("poll", libc::EINTR),
    ("read", libc::EAGAIN),
    ("read", libc::EINTR),
    ("recv", libc::EAGAIN),
    ("recv", libc::EINTR),
    ("recvfrom", libc::EAGAIN),
    ("recvfrom", libc::EINTR),
    ("select", libc::EINTR),
    ("send", libc::EAGAIN),
    ("send", libc::EINTR),
    ("sendto", libc::EAGAIN),
    ("sendto", libc::EINTR),
    ("write", libc::EINTR),
];

/// What is passed on to whoever has asked for it.
const TOLD: &[(&str, i32)] = &[
    ("accept", libc::EMFILE),
    ("accept", libc::ENFILE),
    ("accept", libc::ENOBUFS),
    ("bind", libc::EADDRINUSE),
    ("bind", libc::EMFILE),
    ("connect", libc::ECONNREFUSED),
    ("connect", libc::ENETUNREACH),
    ("fcntl", libc::EBADF),
    ("getpeername", libc::ENOBUFS),
    ("getsockname", libc::ENOBUFS),
    ("getsockopt", libc::ENOBUFS),
    ("pipe", libc::EMFILE),
    ("recv", libc::ECONNRESET),
    ("recvfrom", libc::ECONNREFUSED),
    ("send", libc::ECONNRESET),
    ("send", libc::EPIPE),
    ("sendto", libc::EPERM),
    ("setsockopt", libc::ENOBUFS),
    ("shutdown", libc::ENOBUFS),
    ("socket", libc::EMFILE),
];

/// What leaves nothing to do but to say so: `block_on` panics.
const FATAL: &[(&str, i32)] = &[("poll", libc::EINVAL), ("select", libc::ENOMEM)];

/// Everything that may go wrong and be told, or do no harm.
static ALL: [(&str, i32); HARMLESS.len() + TOLD.len()] = {
    let mut all = [("", 0); HARMLESS.len() + TOLD.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < TOLD.len() { TOLD[at] } else { HARMLESS[at - TOLD.len()] };
        at += 1;
    }
    all
};

/// Tests that count the descriptors of this process must be alone in it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One site at a time. What does no harm is not seen; what is told is told by its own name.
#[test]
fn whatever_goes_wrong_at_one_site_is_made_good_or_told() {
    on_both(|backend| {
        let faults = |seed, one_in, error: &'static (&str, i32)| Faults {
            seed,
            one_in,
            errors: std::slice::from_ref(error),
            short: false,
        };
        for error in HARMLESS {
            for seed in 1..=4 {
                let result = run(backend, faults(seed, 2, error));
                assert!(matches!(result, Ok(Ok(()))), "{error:?}, seed {seed}: {result:?}");
            }
        }
        for error in TOLD {
            let told = errno(run(backend, faults(1, 1, error)));
            assert_eq!(told, Some(error.1), "{error:?}");
            for seed in 1..=3 {
                let told = errno(run(backend, faults(seed, 4, error)));
                assert!(
                    told.is_none_or(|told| told == error.1),
                    "{error:?}, seed {seed}: {told:?}"
                );
            }
        }
        for error in FATAL {
            let result = run(backend, faults(1, 1, error));
            // Layer 7, which is run as well, knows `select` only.
            let needed = error.0 == backend || error.0 == "select";
            assert_eq!(result.is_err(), needed, "{error:?}: {result:?}");
        }
    });
}

/// All sites at once: whatever does no harm, short reads and writes, and readiness that is not there.
#[test]
fn what_does_no_harm_does_none_all_at_once() {
    on_both(|backend| {
        for seed in 1..=40 {
            let faults = Faults { seed, one_in: 3, errors: HARMLESS, short: true };
            let result = run(backend, faults);
            assert!(matches!(result, Ok(Ok(()))), "seed {seed}: {result:?}");
        }
    });
}

/// The same, and now and then an error that is told. It ends what it has to end.
#[test]
fn an_error_among_many_is_told_and_leaves_nothing_behind() {
    on_both(|backend| {
        let mut told = BTreeSet::new();
        for seed in 1..=120 {
            let faults = Faults { seed, one_in: 50, errors: &ALL, short: true };
            told.extend(errno(run(backend, faults)));
        }
        let known = TOLD.iter().map(|(_, errno)| *errno).collect::<BTreeSet<_>>();
        assert!(told.is_subset(&known), "{told:?}");
        assert!(told.len() >= 5, "of {} errors only {told:?} were told", known.len());
    });
}

/// The same with a server and three clients, all on one thread: what does no harm is not seen by anybody.
#[test]
fn a_server_answers_everybody_whatever_does_no_harm() {
    on_both(|backend| {
        for seed in 1..=30 {
            let faults = Faults { seed, one_in: 3, errors: HARMLESS, short: true };
            let told = elsewhere(move || serve_three(backend, faults));
            assert!(told.iter().all(Result::is_ok), "seed {seed}: {told:?}");
        }
    });
}

/// And with errors among it that are told: each ends one connection, on whichever side it was, and never
/// the server.
#[test]
fn an_error_ends_a_connection_and_no_server() {
    on_both(|backend| {
        let mut failed = 0;
        for seed in 1..=40 {
            let faults = Faults { seed, one_in: 60, errors: &ALL, short: true };
            let told = elsewhere(move || serve_three(backend, faults));
            failed += told.iter().filter(|told| told.is_err()).count();
            for error in told.into_iter().filter_map(Result::err) {
                // The other side ends, or resets; or it was one of ours.
                let known = error.kind() == ErrorKind::UnexpectedEof
                    || TOLD.iter().any(|(_, told)| error.raw_os_error() == Some(*told));
                assert!(known, "seed {seed}: {error:?}");
            }
        }
        assert!((10..110).contains(&failed), "{failed} of 120 clients failed");
    });
}

/// No site is forgotten: what the sources call is in the tables above, and is called here.
#[test]
fn every_site_is_in_the_tables_and_is_called() {
    let source = [
        include_str!("../src/sys.rs"),
        include_str!("../src/ch07_select.rs"),
        include_str!("../src/ch08_poll.rs"),
        include_str!("../src/ch09_timer.rs"),
        include_str!("../src/ch10_net.rs"),
    ];
    let source = source.concat();
    let sites = ["call(", "restart(", "attempt("].into_iter().flat_map(|how| source.split(how));
    let names = sites.filter_map(|after| after.trim_start().strip_prefix('"')?.split('"').next());
    let names = names.collect::<BTreeSet<_>>();
    let tables = [HARMLESS, TOLD, FATAL].concat();
    assert_eq!(names, tables.iter().map(|(name, _)| *name).collect());
    on_both(|backend| {
        let calls = Ledger::open();
        let nothing = Faults { seed: 1, one_in: 0, errors: &[], short: false };
        run(backend, nothing).unwrap().unwrap();
        for (name, _) in [HARMLESS, TOLD, FATAL].concat() {
            let needed = name != "poll" || backend == "poll";
            assert_eq!(calls.count(Event::Call(name)) > 0, needed, "{name}");
        }
    });
}

/// Runs `f` for each backend, and sees to it that all descriptors are closed in the end.
fn on_both(f: fn(&'static str)) {
    /// How many are open when nothing has run yet.
    static BEFORE: OnceLock<usize> = OnceLock::new();
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = *BEFORE.get_or_init(open_descriptors);
    for backend in ["poll", "select"] {
        within(LIMIT, move || {
            f(backend);
            // Where a wait has panicked, the thread that was to wake it may not have heard of that yet.
            let closed = (0..scaled(Duration::from_secs(1)).as_millis()).any(|_| {
                thread::sleep(Duration::from_millis(1));
                open_descriptors() == before
            });
            assert!(closed, "{} descriptors are open, not {before}", open_descriptors());
        });
    }
}

fn open_descriptors() -> usize {
    // SAFETY: `F_GETFD` takes no argument, and on a closed descriptor it fails.
    (0..1024).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } != -1).count()
}

/// What comes of [`everything`], on a new thread with reactors of its own, while that goes wrong. Afterwards nothing goes wrong, and everything is right.
fn run(backend: &'static str, faults: Faults) -> thread::Result<io::Result<()>> {
    let ledger = support::ledger();
    let thread = thread::spawn(move || {
        ledger.attach();
        // Layer 7's reactor has no way to say that it cannot be made.
        ch07_select::block_on(async {});
        sys::inject(Some(faults));
        let result = panic::catch_unwind(|| {
            ask_by(by(backend))?;
            everything(Some(faults))
        });
        sys::inject(None);
        ask_by(by(backend)).and_then(|_| everything(None)).expect("nothing is left of it");
        result
    });
    thread.join().expect("it goes on")
}

/// The error that was told, if there was one.
fn errno(result: thread::Result<io::Result<()>>) -> Option<i32> {
    let error = result.expect("no panic").err()?;
    Some(error.raw_os_error().unwrap_or_else(|| panic!("an error of ours: {error}")))
}

/// A connection, both of whose ends are ours, two sockets for datagrams, wakes from another thread, and
/// the same wakes in layer 7: every system call of these layers is made.
fn everything(faults: Option<Faults>) -> io::Result<()> {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    let address = listener.local_addr()?;
    let text = (0..20_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    block_on(async {
        let connected = try_join(TcpStream::connect(address), listener.accept());
        let (mut client, (mut server, peer)) = connected.await?;
        assert_eq!(client.local_addr()?, peer);
        let send = async {
            client.write_all(&text).await?;
            client.close().await
        };
        let mut received = Vec::new();
        try_join(send, server.read_to_end(&mut received)).await?;
        assert!(received == text, "other bytes arrived");

        let [one, other] = [(); 2].map(|()| UdpSocket::bind(([127, 0, 0, 1], 0)));
        let (one, other) = (one?, other?);
        let (ours, theirs, mut buffer) = (one.local_addr()?, other.local_addr()?, [0; 9]);
        one.send_to(b"datagram", theirs).await?;
        assert_eq!(other.recv_from(&mut buffer).await?, (8, ours));
        // Nobody is waited for here, so no signal can come first: that is the tables' alone.
        while let Err(error) = other.connect(ours) {
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        other.send(b"back").await?;
        assert_eq!(one.recv_from(&mut buffer).await?, (4, theirs));
        one.send_to(b"and on", theirs).await?;
        assert_eq!(other.recv(&mut buffer).await?, 6);
        woken_from_elsewhere(faults).await;
        io::Result::Ok(())
    })?;
    let (mut reader, mut writer) = io::pipe()?;
    writer.write_all(b"!")?;
    ch07_select::block_on(async {
        ch07_select::readable(&reader).await?;
        woken_from_elsewhere(faults).await;
        reader.read_exact(&mut [0])
    })
}

/// Runs `f` on a thread of its own, and so with a reactor of its own.
fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let ledger = support::ledger();
    let thread = thread::spawn(move || {
        ledger.attach();
        f()
    });
    thread.join().expect("no panic")
}

/// What three clients of a server are told, while that goes wrong. Afterwards nothing goes wrong, and a
/// fourth is served; and the end is a good one.
fn serve_three(backend: &str, faults: Faults) -> [io::Result<()>; 3] {
    ask_by(by(backend)).expect("it can be made");
    block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0)).expect("nothing goes wrong yet");
        let address = listener.local_addr().expect("nothing goes wrong yet");
        let (stop, db) = (CancelToken::new(), Rc::new(RefCell::new(Db::default())));
        let limits = Limits { connections: 2, ..Limits::default() };
        let server =
            serve(listener, limits, move |client| talk(client, db.clone()), stop.cancelled());
        let clients = async {
            sys::inject(Some(faults));
            let (one, two, three) = join!(count(address, 1), count(address, 2), count(address, 3));
            sys::inject(None);
            count(address, 4).await.expect("nothing goes wrong any more");
            stop.cancel();
            [one, two, three]
        };
        let (end, told) = join!(server, clients);
        end.expect("nobody is stuck");
        told
    })
}

/// Counts up to 400 in the server's memory, in many small requests: whatever is heard is right.
async fn count(address: SocketAddr, name: u32) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    for tens in 0..40 {
        stream.write_all(format!("INCR {name}\r\n").repeat(10).as_bytes()).await?;
        let replies = (1..=10).map(|n| format!(":{}\r\n", tens * 10 + n)).collect::<String>();
        let mut heard = vec![0; replies.len()];
        stream.read_exact(&mut heard).await?;
        assert_eq!(String::from_utf8_lossy(&heard), replies, "client {name}");
    }
    Ok(())
}

/// Ready when another thread, on which the same goes wrong, has woken ten times.
async fn woken_from_elsewhere(faults: Option<Faults>) {
    let shared = Arc::new(Mutex::new((0, None::<Waker>)));
    let (theirs, ledger) = (shared.clone(), support::ledger());
    let helper = thread::spawn(move || {
        ledger.attach();
        sys::inject(faults);
        for _ in 0..10 {
            // The other one sleeps by then, most of the time.
            thread::sleep(Duration::from_micros(100));
            let mut shared = theirs.lock().unwrap();
            shared.0 += 1;
            let waker = shared.1.take();
            drop(shared);
            waker.into_iter().for_each(Waker::wake);
        }
    });
    poll_fn(|cx| {
        let mut shared = shared.lock().unwrap();
        shared.1 = Some(cx.waker().clone());
        if shared.0 == 10 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    helper.join().unwrap();
}
