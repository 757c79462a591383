//! What goes wrong with sockets, signals and helper threads: each trap beside the way out.

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use under_await::ch06_io_models::wait;
use under_await::sys;

/// How long a trap holds whoever steps into it.
const LIMIT: Duration = Duration::from_millis(300);

pub(crate) fn show(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "2,000,000 bytes go to a server that answers at the end of its input")?;
    for (name, whole) in [("close()", true), ("shutdown(SHUT_WR)", false)] {
        let back = sent_and_answered(2_000_000, whole)?;
        writeln!(out, "  {name:24}{back:>7} bytes come back")?;
    }
    writeln!(out, "\nA signal comes between the look for it and a sleep of 300 ms")?;
    for (name, way) in
        [("select", Way::Select), ("pselect", Way::Pselect), ("self-pipe", Way::SelfPipe)]
    {
        let (start, slept) = (Instant::now(), signal_before_sleep(way));
        let ended_by = match slept {
            Ok(0) => "nothing ends the sleep".to_owned(),
            Ok(_) => "the pipe is readable".to_owned(),
            Err(error) => error.to_string(),
        };
        let ms = start.elapsed().as_millis();
        writeln!(out, "  {name:24}~{ms} ms: {ended_by}")?;
    }
    writeln!(
        out,
        "\nA client sends half a line and falls silent; the next one sends a whole line"
    )?;
    for (name, non_blocking) in [("as accept(2) gave it", false), ("made non-blocking", true)] {
        let answered = half_a_line(non_blocking)?;
        let answered = if answered { "is answered" } else { "has no answer after 300 ms" };
        writeln!(out, "  {name:24}the next one {answered}")?;
    }
    writeln!(out, "\n`poll` says that a client is there, and then it is not: what accept(2) says")?;
    for (name, non_blocking) in [("a listener that blocks", false), ("a non-blocking one", true)] {
        let (time, accepted) = too_late(non_blocking)?;
        let said = accepted.map_or_else(|error| error.to_string(), |()| "the next client".into());
        writeln!(out, "  {name:24}~{} ms: {said}", time.as_millis())?;
    }
    writeln!(out, "  {:24}{}", "reset by the client", reset_before_accept()?)?;
    show_linux(out)
}

// ANCHOR: sent_and_answered
/// A client sends `length` bytes and ends the connection: the whole of it, or its own side. The
/// server sends all of them back when it has seen the end. How many arrive?
pub(crate) fn sent_and_answered(length: usize, whole: bool) -> io::Result<usize> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept()?;
        let mut request = Vec::new();
        client.read_to_end(&mut request)?;
        client.write_all(&request)
    });
    stream.write_all(&vec![b'x'; length])?;
    let mut answer = Vec::new();
    if whole {
        drop(stream);
    } else {
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut answer)?;
    }
    // An error where nobody reads. Rust's programs ignore `SIGPIPE`, which would end others.
    let _ = server.join().expect("the server does not panic");
    Ok(answer.len())
}
// ANCHOR_END: sent_and_answered

/// How to sleep until a signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// select(2), which the handler is to interrupt.
    Select,
    /// pselect(2), which lets the signal in.
    Pselect,
    /// select(2) on a pipe that the handler writes to.
    SelfPipe,
}

// ANCHOR: signal_before_sleep
/// Looks whether `SIGUSR1` has come, is sent it then, and sleeps for 300 ms: what the sleep returns.
pub(crate) fn signal_before_sleep(way: Way) -> io::Result<libc::c_int> {
    let (pipe, writer) = io::pipe()?;
    PIPE.store(writer.as_raw_fd(), Ordering::Relaxed);
    handle_sigusr1()?;
    let before = (way == Way::Pselect).then(block_sigusr1);
    // The program looks here, and no signal has come. Then one does.
    // SAFETY: `raise` takes the number of a signal.
    unsafe { libc::raise(libc::SIGUSR1) };
    match before {
        Some(before) => pselect(&before),
        None => select((way == Way::SelfPipe).then_some(pipe)),
    }
}
// ANCHOR_END: signal_before_sleep

/// select(2) for 300 ms, until `pipe` is readable.
fn select(pipe: Option<PipeReader>) -> io::Result<libc::c_int> {
    // SAFETY: a set is an array of integers, and all zeros is the empty one.
    let (mut set, mut count) = (unsafe { mem::zeroed() }, 0);
    if let Some(pipe) = &pipe {
        count = pipe.as_raw_fd() + 1;
        assert!(count as usize <= libc::FD_SETSIZE, "this process has few descriptors");
        // SAFETY: just checked: there is a bit for it.
        unsafe { libc::FD_SET(pipe.as_raw_fd(), &mut set) };
    }
    let mut time = libc::timeval { tv_sec: 0, tv_usec: LIMIT.as_micros() as libc::suseconds_t };
    let none = ptr::null_mut();
    // SAFETY: set and time are ours; there are no other sets.
    sys::call("select", || unsafe { libc::select(count, &mut set, none, none, &mut time) })
}

/// pselect(2) for 300 ms with the signals `blocked` and no others blocked meanwhile.
fn pselect(blocked: &libc::sigset_t) -> io::Result<libc::c_int> {
    let time = libc::timespec { tv_sec: 0, tv_nsec: LIMIT.as_nanos() as libc::c_long };
    let none = ptr::null_mut();
    let slept = sys::call("pselect", || {
        // SAFETY: time and signals are borrowed until it returns; there are no sets.
        unsafe { libc::pselect(0, none, none, none, &time, blocked) }
    });
    // SAFETY: `blocked` is borrowed, and nobody asks for the mask before.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, blocked, ptr::null_mut()) };
    slept
}

/// Blocks `SIGUSR1`, and returns what was blocked before.
fn block_sigusr1() -> libc::sigset_t {
    // SAFETY: a set is an array of integers, and all zeros is the empty one.
    let mut set = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut before = unsafe { mem::zeroed() };
    // SAFETY: `set` is ours.
    unsafe { libc::sigaddset(&mut set, libc::SIGUSR1) };
    // SAFETY: both are ours.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before) };
    before
}

/// Where the handler of `SIGUSR1` writes to.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Has [`on_sigusr1`] called for `SIGUSR1`.
fn handle_sigusr1() -> io::Result<()> {
    // SAFETY: an action is integers and a pointer, for which all zeros will do.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_sigusr1 as extern "C" fn(libc::c_int) as libc::sighandler_t;
    sys::call("sigaction", || {
        // SAFETY: the handler takes one argument, as the action says, and calls write(2) only.
        unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) }
    })?;
    Ok(())
}

extern "C" fn on_sigusr1(_: libc::c_int) {
    let pipe = PIPE.load(Ordering::Relaxed);
    // SAFETY: write(2) may be called in a handler, and the byte is a constant.
    unsafe { libc::write(pipe, b"!".as_ptr().cast(), 1) };
}

// ANCHOR: half_a_line
/// A client sends half a line and falls silent, another one sends a whole line: whether that one
/// is answered, within 300 ms.
pub(crate) fn half_a_line(non_blocking: bool) -> io::Result<bool> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve_two(&listener, non_blocking));
    let mut silent = TcpStream::connect(address)?;
    silent.write_all(b"half a")?;
    let mut other = TcpStream::connect(address)?;
    other.set_read_timeout(Some(LIMIT))?;
    other.write_all(b"whole\n")?;
    let answered = match BufReader::new(&other).read_line(&mut String::new()) {
        Ok(length) => length > 0,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => return Err(error),
    };
    drop((silent, other));
    server.join().expect("the server does not panic")?;
    Ok(answered)
}
// ANCHOR_END: half_a_line

/// Sends lines back to whoever sent them, until two clients have come and gone.
fn serve_two(listener: &TcpListener, non_blocking: bool) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (mut clients, mut gone) = (Vec::<(TcpStream, Vec<u8>)>::new(), 0);
    while gone < 2 {
        let fds = clients.iter().map(|(stream, _)| stream.as_raw_fd());
        let fds = fds.chain([listener.as_raw_fd()]);
        let row = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut table = fds.map(row).collect::<Vec<_>>();
        wait(&mut table)?;
        let mut ready = table.iter().map(|row| row.revents != 0);
        let before = clients.len();
        clients.retain_mut(|(stream, line)| !ready.next().unwrap_or(false) || serve(stream, line));
        gone += before - clients.len();
        if ready.next() == Some(true) {
            let (stream, _) = listener.accept()?;
            // Linux does not hand the listener's `O_NONBLOCK` down; other systems do.
            if non_blocking {
                stream.set_nonblocking(true)?;
            }
            clients.push((stream, Vec::new()));
        }
    }
    Ok(())
}

// ANCHOR: serve
/// Reads until there is nothing left to read now, and sends whole lines back. `false` at the end.
fn serve(stream: &mut TcpStream, line: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) => line.extend(&buffer[..length]),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let whole = line.drain(..=end).collect::<Vec<_>>();
            if stream.write_all(&whole).is_err() {
                return false;
            }
        }
    }
}
// ANCHOR_END: serve

// ANCHOR: too_late
/// A client connects, and `poll` says so; but another thread accepts it first. The next client comes
/// 300 ms later. How long accept(2) takes us, and what it says: `Ok` if it has waited for that one.
pub(crate) fn too_late(non_blocking: bool) -> io::Result<(Duration, io::Result<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(non_blocking)?;
    let address = listener.local_addr()?;
    let _client = TcpStream::connect(address)?;
    wait(&mut [libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 }])?;
    let _taken = listener.accept()?;
    let next = thread::spawn(move || {
        thread::sleep(LIMIT);
        TcpStream::connect(address)
    });
    let (start, accepted) = (Instant::now(), listener.accept().map(drop));
    let time = start.elapsed();
    next.join().expect("it does not panic")?;
    Ok((time, accepted))
}
// ANCHOR_END: too_late

/// A client connects, and resets the connection before it is accepted. Some systems take it out of the
/// queue, as Stevens saw, and then accept(2) waits for the next one; others hand out what is left of it.
fn reset_before_accept() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    wait(&mut [libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 }])?;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (fd, length) = (client.as_raw_fd(), size_of_val(&linger) as libc::socklen_t);
    sys::call("setsockopt", || {
        let (linger, level, option) = (&raw const linger, libc::SOL_SOCKET, libc::SO_LINGER);
        // SAFETY: pointer and length are those of `linger`. A close is a reset then.
        unsafe { libc::setsockopt(fd, level, option, linger.cast(), length) }
    })?;
    drop(client);
    Ok(match listener.accept() {
        Err(error) => error.to_string(),
        Ok((mut stream, _)) => match stream.read(&mut [0; 8]) {
            Err(error) => format!("gives it, and its first read: {error}"),
            Ok(length) => format!("gives it, and {length} bytes"),
        },
    })
}

#[cfg(not(target_os = "linux"))]
fn show_linux(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nThe queue of signals and the helpers of glibc's aio are there on Linux only.")
}

#[cfg(target_os = "linux")]
use linux::show_linux;

/// What only Linux has: the queue of signals with its end, and glibc's way of reading ahead.
#[cfg(target_os = "linux")]
pub(crate) mod linux {
    use std::io::{PipeReader, PipeWriter};
    use std::mem::ManuallyDrop;
    use std::os::fd::FromRawFd;

    use under_await::ch06_io_models::{announce, asynchronous, hold_back, multiplexed};

    use super::super::table::{Model, threads};
    use super::*;

    pub(crate) fn show_linux(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n20 pipes announce a byte each; there is room for 8 signals")?;
        let (named, bare) = announced(20, 8)?;
        // What other processes of this user have queued takes room as well.
        writeln!(out, "  ~{named} signals name a pipe, and {bare} SIGIO stands for the others")?;
        writeln!(out, "\nReads from silent pipes, and the threads that glibc has for them")?;
        let before = threads().unwrap_or(0);
        let (pipe, writer) = silent(1)?;
        let reads = [eightfold(&pipe[0])];
        writeln!(out, "  {:24}{}", "8 from one pipe", helpers(before, &reads[0], writer)?)?;
        let (pipes, writers) = silent(25)?;
        writeln!(out, "  {:24}{}", "one from each of 25", helpers(before, &pipes, writers)?)?;

        writeln!(
            out,
            "\nThe last of 21 pipes has had its `z` all the time; then the first gets an `a`"
        )?;
        let models: [(_, Model); 2] =
            [("multiplexed", multiplexed), ("asynchronous", asynchronous)];
        for (name, model) in models {
            writeln!(out, "  {name:24}{}", behind(20, model)?)?;
        }
        Ok(())
    }

    // ANCHOR: announced
    /// A byte is written to each of `pipes` pipes, while this process has room for `room` signals:
    /// how many signals come that name a pipe, and how many that do not.
    pub(crate) fn announced(pipes: usize, room: u64) -> io::Result<(usize, usize)> {
        let (readers, writers) = silent(pipes)?;
        let signals = hold_back([libc::SIGRTMIN(), libc::SIGIO]);
        readers.iter().try_for_each(announce)?;
        let before = limit_signals(room)?;
        for mut writer in &writers {
            writer.write_all(b"!")?;
        }
        limit_signals(before)?;
        let come = std::iter::from_fn(|| signal_already_here(&signals)).collect::<Vec<_>>();
        drop(readers); // First: an end would be announced as well.
        let bare = come.iter().filter(|signal| **signal == libc::SIGIO).count();
        Ok((come.len() - bare, bare))
    }
    // ANCHOR_END: announced

    /// Sets how many signals may be queued for this user, if that many are allowed, and returns how
    /// many it was.
    fn limit_signals(room: libc::rlim_t) -> io::Result<libc::rlim_t> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is ours.
        sys::call("getrlimit", || unsafe { libc::getrlimit(libc::RLIMIT_SIGPENDING, &mut limit) })?;
        let new = libc::rlimit { rlim_cur: room.min(limit.rlim_max), ..limit };
        // SAFETY: `new` is borrowed until it returns.
        sys::call("setrlimit", || unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &new) })?;
        Ok(limit.rlim_cur)
    }

    /// The next of `signals` that has come and not been taken.
    fn signal_already_here(signals: &libc::sigset_t) -> Option<libc::c_int> {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both are borrowed until it returns, and nobody asks for more than the number.
        let signal = unsafe { libc::sigtimedwait(signals, ptr::null_mut(), &at_once) };
        (signal > 0).then_some(signal)
    }

    // ANCHOR: helpers
    /// How many threads there are, beyond `before`, while `pipes` are read from and silent.
    pub(crate) fn helpers(
        before: usize,
        pipes: &[PipeReader],
        writers: Vec<PipeWriter>,
    ) -> io::Result<usize> {
        thread::scope(|scope| {
            let reading = scope.spawn(|| asynchronous(pipes));
            let (mut most, mut since) = (0, Instant::now());
            while since.elapsed() < LIMIT {
                thread::sleep(LIMIT / 60);
                let now = threads().unwrap_or(0);
                if now > most {
                    (most, since) = (now, Instant::now());
                }
            }
            drop(writers);
            reading.join().expect("a model does not panic")?;
            Ok(most.saturating_sub(before + 1)) // One is the thread that was started here.
        })
    }
    // ANCHOR_END: helpers

    /// What `model` reads: a byte has been in the last pipe from the start, with `ahead` pipes before
    /// it in the list; later one comes to the first.
    pub(crate) fn behind(ahead: usize, model: Model) -> io::Result<String> {
        let (pipes, writers) = silent(ahead + 1)?;
        (&writers[ahead]).write_all(b"z")?;
        thread::scope(|scope| {
            let reading = scope.spawn(|| model(&pipes));
            thread::sleep(LIMIT / 3);
            (&writers[0]).write_all(b"a")?;
            thread::sleep(LIMIT / 3);
            drop(writers);
            let arrivals = reading.join().expect("a model does not panic")?;
            Ok(String::from_utf8_lossy(&arrivals).into_owned())
        })
    }

    /// Pipes into which nobody writes.
    pub(crate) fn silent(count: usize) -> io::Result<(Vec<PipeReader>, Vec<PipeWriter>)> {
        let pipes = (0..count).map(|_| io::pipe()).collect::<io::Result<Vec<_>>>()?;
        Ok(pipes.into_iter().unzip())
    }

    /// The same descriptor eight times.
    pub(crate) fn eightfold(pipe: &PipeReader) -> ManuallyDrop<Vec<PipeReader>> {
        // SAFETY: nobody closes these eight, and they are used while `pipe` is open.
        let same = |_| unsafe { PipeReader::from_raw_fd(pipe.as_raw_fd()) };
        ManuallyDrop::new((0..8).map(same).collect())
    }
}
