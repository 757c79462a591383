//! A request, a time limit and Ctrl-C race, three times, and each of them wins once. Who has lost is
//! gone before the winner's expression runs. With the argument `chance` it counts who wins when all
//! are ready.

use std::future::poll_fn;
#[cfg(unix)]
use std::future::{pending, ready};
use std::pin::pin;
#[cfg(unix)]
use std::{
    cell::RefCell,
    env, io,
    io::{ErrorKind, PipeReader, Read, Write},
    net::{self, SocketAddr},
    os::fd::AsRawFd,
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::Duration,
};

#[cfg(unix)]
use futures::io::AsyncReadExt;
#[cfg(unix)]
use under_await::ch13_race::seed;
use under_await::ch13_race::{once_around, random};
#[cfg(unix)]
use under_await::{
    ch08_poll::Direction,
    ch09_timer::{block_on, pending_timers, sleep},
    ch10_net::{Async, TcpStream},
    ledger::{self, Event, Ledger, watch},
    on_drop, select, sys,
};

#[cfg(not(unix))]
fn main() {
    println!("This example needs a Unix: its reactor rests on poll(2).");
}

#[cfg(unix)]
fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let shown = match env::args().nth(1).as_deref() {
        Some("chance") => show_chance(out),
        _ => show(out),
    };
    match shown {
        // Whoever reads us has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

#[cfg(unix)]
fn show(out: &mut impl Write) -> io::Result<()> {
    let (bell, ringer) = sys::pipe()?;
    let bell = Async::new(bell)?;
    catch_ctrl_c(&ringer)?;
    writeln!(out, "A request, a time limit and Ctrl-C: who comes first?")?;
    one_race(out, &bell, "The answer after 20 ms, a limit of 400 ms:", [20, 400], None)?;
    one_race(out, &bell, "The answer after 400 ms, a limit of 20 ms:", [400, 20], None)?;
    one_race(out, &bell, "Both after 400 ms, and SIGINT after 20 ms:", [400, 400], Some(20))
}

#[cfg(unix)]
fn show_chance(out: &mut impl Write) -> io::Result<()> {
    seed(13);
    let (mut all, mut two) = ([0; 3], [0; 3]);
    block_on(async {
        for _ in 0..10_000 {
            all[select! { () = ready(()) => 0, () = ready(()) => 1, () = ready(()) => 2 }] += 1;
            two[select! { () = pending() => 0, () = ready(()) => 1, () = ready(()) => 2 }] += 1;
        }
    });
    writeln!(out, "Three branches, 10,000 times: who won?\n")?;
    for (name, [a, b, c]) in [("all three are ready", all), ("the first is not", two)] {
        writeln!(out, "  {name:20}{a:>6}{b:>8}{c:>8}")?;
    }
    Ok(())
}

/// What happened, in order.
#[cfg(unix)]
type Diary = RefCell<Vec<String>>;

#[cfg(unix)]
fn note(diary: &Diary, line: &str) {
    diary.borrow_mut().push(line.to_owned());
}

// ANCHOR: first_of_three
#[cfg(unix)]
async fn first_of_three(
    address: SocketAddr,
    limit: Duration,
    bell: &Async<PipeReader>,
    diary: &Diary,
) -> io::Result<()> {
    select! {
        answer = request(address, diary) => note(diary, &format!("the answer is {}", answer?)),
        () = time_limit(limit, diary) => note(diary, "too late"),
        () = ctrl_c(bell, diary) => note(diary, "stopped"),
    }
    Ok(())
}
// ANCHOR_END: first_of_three

// ANCHOR: request
/// Asks the server. The connection is closed when the stream is dropped, and so at the latest when this
/// future is.
#[cfg(unix)]
async fn request(address: SocketAddr, diary: &Diary) -> io::Result<String> {
    let _guard = on_drop(|| note(diary, "  gone: the request"));
    let mut stream = TcpStream::connect(address).await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
// ANCHOR_END: request

#[cfg(unix)]
async fn time_limit(limit: Duration, diary: &Diary) {
    let _guard = on_drop(|| note(diary, "  gone: the time limit"));
    sleep(limit).await;
}

#[cfg(unix)]
async fn ctrl_c(bell: &Async<PipeReader>, diary: &Diary) {
    let _guard = on_drop(|| note(diary, "  gone: Ctrl-C"));
    let rung = poll_fn(|cx| bell.poll_io(Direction::Read, cx, |mut bell| bell.read(&mut [0; 8])));
    rung.await.expect("a pipe that can be read");
}

#[cfg(unix)]
fn one_race(
    out: &mut impl Write,
    bell: &Async<PipeReader>,
    title: &str,
    [answer, limit]: [u64; 2],
    ctrl_c_after: Option<u64>,
) -> io::Result<()> {
    let (diary, (address, server)) = (Diary::default(), server(ms(answer))?);
    if let Some(after) = ctrl_c_after {
        thread::spawn(move || {
            thread::sleep(ms(after));
            // SAFETY: it takes a number, and the handler for this signal has been installed.
            unsafe { libc::raise(libc::SIGINT) }
        });
    }
    block_on(first_of_three(address, ms(limit), bell, &diary))?;
    writeln!(out, "\n{title}\n")?;
    for line in diary.take() {
        writeln!(out, "  {line}")?;
    }
    let server = server.join().expect("a server that ends")?;
    writeln!(out, "  {} timers are left, and {server}", pending_timers())
}

/// So many milliseconds; more of them on a machine that is said to be slow.
#[cfg(unix)]
fn ms(ms: u64) -> Duration {
    let scale = env::var("UNDER_AWAIT_TIME_SCALE").ok().and_then(|scale| scale.parse().ok());
    Duration::from_millis(ms).mul_f64(scale.unwrap_or(1.0))
}

#[cfg(unix)]
type Server = thread::JoinHandle<io::Result<&'static str>>;

/// Answers one client after so long, unless it hangs up before that. Returns which it was.
#[cfg(unix)]
fn server(delay: Duration) -> io::Result<(SocketAddr, Server)> {
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serve = move || {
        let (mut client, _) = listener.accept()?;
        client.set_read_timeout(Some(delay))?;
        match client.read(&mut [0]) {
            Ok(0) => Ok("the server heard its client hang up"),
            _ => client.write_all(b"hello").map(|()| "the server has answered"),
        }
    };
    Ok((address, thread::spawn(serve)))
}

/// Where the handler rings.
#[cfg(unix)]
static RINGER: AtomicI32 = AtomicI32::new(-1);

/// From now on, SIGINT ends no process, and rings.
#[cfg(unix)]
fn catch_ctrl_c(ringer: &io::PipeWriter) -> io::Result<()> {
    extern "C" fn ring(_signal: libc::c_int) {
        let fd = RINGER.load(Ordering::Relaxed);
        // SAFETY: write(2) may be called in a handler, and what it reads is one byte of a static.
        unsafe { libc::write(fd, b"!".as_ptr().cast(), 1) };
    }
    RINGER.store(ringer.as_raw_fd(), Ordering::Relaxed);
    let handler = ring as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler has the signature that signal(2) wants, and it calls write(2) only.
    let before = unsafe { libc::signal(libc::SIGINT, handler) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

// ANCHOR: by_hand
/// What `select! { a = left => Ok(a), b = right => Err(b) }` becomes.
#[allow(dead_code)] // The tests run it, beside the macro.
pub(crate) async fn by_hand<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> Result<A, B> {
    let (mut open, mut first, mut second) = ([true, true], None, None);
    {
        let (mut left, mut right) = (pin!(left), pin!(right));
        let round = poll_fn(|cx| {
            once_around(&mut open, random(), |n| match n {
                0 => left.as_mut().poll(cx).map(|output| first.replace(output).is_none()),
                _ => right.as_mut().poll(cx).map(|output| second.replace(output).is_none()),
            })
        });
        round.await;
    }
    first.map(Ok).or(second.map(Err)).expect("one of them has won")
}
// ANCHOR_END: by_hand

/// What the chapter's trace shows: a request that is too slow, and its time limit.
#[cfg(unix)]
#[allow(dead_code)] // The test of the book calls it.
pub(crate) fn scene() {
    // What it takes to make the reactor is the business of chapter 8.
    let ledger = Ledger::current();
    Ledger::close();
    block_on(async {});
    ledger.inspect(Ledger::attach);
    let request = async {
        let _guard = on_drop(|| ledger::record("request", Event::Note("is dropped")));
        std::future::pending::<()>().await;
    };
    block_on(async {
        select! {
            biased;
            () = watch("request", request) => {}
            () = watch("limit", sleep(Duration::from_millis(20))) => {
                ledger::record("limit", Event::Note("has won: its expression runs"));
            }
        }
    });
}

#[cfg(not(unix))]
#[allow(dead_code)]
pub(crate) fn scene() {}
