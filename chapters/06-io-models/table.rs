//! One job, five ways: the table.

use std::env;
use std::fs;
use std::io::{self, PipeReader, Write};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use under_await::ch06_io_models::{
    Answer, ask, asynchronous, blocking, multiplexed, non_blocking, signal_driven,
};
use under_await::ledger::{Event, Ledger};
use under_await::sys;

/// Reads all of the pipes to their ends; returns the bytes in the order in which it got them.
pub(crate) type Model = fn(&[PipeReader]) -> io::Result<Vec<u8>>;

/// The five models. The multiplexed one is there twice, with either of its system calls.
pub(crate) const MODELS: [(&str, Model); 6] = [
    ("blocking", blocking),
    ("non-blocking", non_blocking),
    ("multiplexed, poll", multiplexed),
    ("multiplexed, select", select),
    ("signal-driven", signal_driven),
    ("asynchronous", asynchronous),
];

pub(crate) fn show(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Two pipes: `a` comes every 30 ms, four times; `b` every 70 ms, twice\n")?;
    writeln!(out, "{:20}  arrivals  threads  CPU time  system calls", "model")?;
    for (name, model) in MODELS {
        row(out, name, model)?;
    }
    Ok(())
}

/// What the chapter's trace shows.
pub(crate) fn scene() {
    let pipes = tickers(&[(b'a', 30, 2), (b'b', 50, 1)]);
    let arrivals = pipes.and_then(|pipes| multiplexed(&pipes)).expect("pipes can be read");
    assert_eq!(arrivals, b"aba");
}

/// What it costs to wait for a hundred pipes into which nobody writes.
pub(crate) fn threads_and_rows(out: &mut impl Write) -> io::Result<()> {
    let pipes = (0..100).map(|_| io::pipe()).collect::<io::Result<Vec<_>>>()?;
    let (readers, writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
    let (start, before) = (Instant::now(), resident());
    writeln!(out, "To wait for a hundred pipes that are silent")?;
    let waiting = |reader: PipeReader| thread::spawn(move || blocking(&[reader]));
    let threads = readers.into_iter().map(waiting).collect::<Vec<_>>();
    let started = start.elapsed().as_millis();
    thread::sleep(Duration::from_millis(100)); // All of them are in `read` by now.
    let memory = match resident().zip(before) {
        Some((now, before)) => format!("~{} KiB of memory", now - before),
        None => "memory unknown here".to_owned(),
    };
    writeln!(out, "  a thread for each, in read     {memory}, ~{started} ms to start them")?;
    let rows = size_of::<libc::pollfd>() * threads.len();
    writeln!(out, "  a row for each, in poll        {rows} bytes")?;
    drop(writers);
    for thread in threads {
        thread.join().expect("a model does not panic")?;
    }
    Ok(())
}

/// The resident memory of this process in KiB. Linux tells.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A row of the table, or what keeps this system from having one.
fn row(out: &mut impl Write, name: &'static str, model: Model) -> io::Result<()> {
    let report = match report(model) {
        Ok(report) => report,
        Err(error) => return writeln!(out, "{name:20}  not on this system: {error}"),
    };
    let calls = report.calls.iter().map(|(call, times)| format!("{call} {}", about(*times)));
    let calls = calls.collect::<Vec<_>>().join(", ");
    let threads = report.threads.map_or("unknown".to_owned(), |threads| threads.to_string());
    let cpu = report.cpu.map_or("unknown".to_owned(), |cpu| format!("~{} ms", cpu.as_millis()));
    writeln!(out, "{name:20}  {:8}  {threads:>7}  {cpu:>8}  {calls}", report.arrivals)
}

/// What a model has cost.
pub(crate) struct Report {
    /// The calls it made, by their names, with their numbers.
    pub(crate) calls: Vec<(&'static str, u64)>,
    /// How many threads worked: the caller's, and those that came with it. Linux tells.
    pub(crate) threads: Option<usize>,
    /// The CPU time of the whole process meanwhile.
    pub(crate) cpu: Option<Duration>,
    /// What was read, in order.
    pub(crate) arrivals: String,
}

/// Does the job by `model`.
pub(crate) fn report(model: Model) -> io::Result<Report> {
    let threads = threads();
    let pipes = tickers(&[(b'a', 30, 4), (b'b', 70, 2)])?;
    let ledger = Ledger::current().unwrap_or_else(Ledger::open);
    let count = || CALLS.map(|name| (name, ledger.count(Event::Call(name))));
    let (before, cpu) = (count(), sys::cpu_time());
    let arrivals = model(&pipes)?;
    let cpu = sys::cpu_time().zip(cpu).map(|(now, before)| now - before);
    let threads = self::threads().zip(threads).map(|(now, before)| 1 + now - before);
    let calls = count().into_iter().zip(before);
    let calls = calls.map(|((name, now), (_, before))| (name, now - before));
    Ok(Report {
        calls: calls.filter(|(_, times)| *times > 0).collect(),
        threads,
        cpu,
        arrivals: String::from_utf8_lossy(&arrivals).into_owned(),
    })
}

/// The calls of the models, each kind of wait before what follows it.
const CALLS: [&str; 9] = [
    "fcntl",
    "ioctl",
    "poll",
    "select",
    "sigwaitinfo",
    "read",
    "aio_read",
    "aio_suspend",
    "aio_return",
];

/// A pipe for each of `ticks`. Its byte comes every so many milliseconds, so many times; when it
/// would be time once more the pipe is closed. One thread writes them all: on a busy machine all of
/// it may be late, and nothing is out of order.
pub(crate) fn tickers(ticks: &[(u8, u64, u64)]) -> io::Result<Vec<PipeReader>> {
    let pipes = ticks.iter().map(|_| io::pipe()).collect::<io::Result<Vec<_>>>()?;
    let (readers, writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
    let mut writers = writers.into_iter().map(Some).collect::<Vec<_>>();
    let of = |(index, (byte, ms, times)): (usize, &(u8, u64, u64))| {
        let (byte, ms, times) = (*byte, *ms, *times);
        (1..=times + 1).map(move |n| (n * ms, index, (n <= times).then_some(byte)))
    };
    let mut events = ticks.iter().enumerate().flat_map(of).collect::<Vec<_>>();
    events.sort();
    let ledger = Ledger::current();
    let write = move || {
        let mut now = 0;
        for (ms, index, byte) in events {
            thread::sleep(Duration::from_millis((ms - now) * scale()));
            now = ms;
            let who = if index == 0 { "writer a" } else { "writer b" };
            let what = if byte.is_some() { "writes a byte" } else { "closes its end" };
            ledger.iter().for_each(|ledger| ledger.record(who, Event::Note(what)));
            match (byte, &mut writers[index]) {
                // An error means that nobody reads any more.
                (Some(byte), Some(writer)) => drop(writer.write_all(&[byte])),
                (_, writer) => *writer = None,
            }
        }
    };
    thread::Builder::new().name(TICKER.to_owned()).spawn(write)?;
    Ok(readers)
}

/// How much longer all pauses are: more than 1 where much else is going on.
fn scale() -> u64 {
    let scale = env::var("UNDER_AWAIT_TIME_SCALE").ok().and_then(|scale| scale.parse().ok());
    scale.unwrap_or(1)
}

/// The name of the threads that do not count: they are the world outside.
const TICKER: &str = "ticker";

/// How many threads this process has, tickers apart. Linux lists them.
pub(crate) fn threads() -> Option<usize> {
    let tasks = fs::read_dir("/proc/self/task").ok()?.flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    Some(names.filter(|name| name.trim_end() != TICKER).count())
}

// ANCHOR: select
/// `multiplexed` with a set of bits in place of the table. The kernel answers in the set it was
/// asked with, so there is a new one for every wait.
pub(crate) fn select(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let (mut open, mut arrivals) = (vec![true; pipes.len()], Vec::new());
    pipes.iter().try_for_each(sys::set_nonblocking)?;
    while open.contains(&true) {
        let asked = pipes.iter().zip(&open).filter(|(_, open)| **open);
        let set = ready(asked.map(|(pipe, _)| pipe.as_raw_fd()))?;
        for (pipe, open) in pipes.iter().zip(&mut open) {
            // SAFETY: `ready` refuses numbers that have no bit.
            if unsafe { libc::FD_ISSET(pipe.as_raw_fd(), &set) } {
                *open = ask(pipe, &mut arrivals)? != Answer::End;
            }
        }
    }
    Ok(arrivals)
}
// ANCHOR_END: select

/// Sleeps until one of `fds` is ready, and returns the set of those that are.
fn ready(fds: impl Iterator<Item = RawFd>) -> io::Result<libc::fd_set> {
    // SAFETY: a set is an array of integers, and all zeros is the empty one.
    let (mut set, mut count) = (unsafe { mem::zeroed() }, 0);
    for fd in fds {
        if fd as usize >= libc::FD_SETSIZE {
            return Err(io::Error::other(format!("select(2) has no bit for descriptor {fd}")));
        }
        // SAFETY: there is a bit for `fd`: this was checked just above.
        unsafe { libc::FD_SET(fd, &mut set) };
        count = count.max(fd + 1);
    }
    let none = ptr::null_mut();
    sys::restart("select", || {
        // SAFETY: the set is ours and has no bit at `count` or above; the others are not there. An
        // interrupted `select` leaves the set as it was.
        unsafe { libc::select(count, &mut set, none, none, ptr::null_mut()) }
    })?;
    Ok(set)
}

/// `~1,200,000` for 1,234,567: two digits are all that another run may repeat. Small numbers are
/// exact.
fn about(n: u64) -> String {
    if n < 100 {
        return n.to_string();
    }
    let unit = 10_u64.pow(n.ilog10() - 1);
    let digits = ((n + unit / 2) / unit * unit).to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    format!("~{}", groups.collect::<Vec<_>>().join(","))
}
