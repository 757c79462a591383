// What chapter 6 asks beyond its layer.

use std::io::{self, PipeReader};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use under_await::sys;

use super::{Answer, ask, meaning, wait};

/// Adds `flags` to the flags of the open file behind `fd`: `O_NONBLOCK`, `O_APPEND`, `O_ASYNC`.
pub fn add_flags(fd: &impl AsFd, flags: libc::c_int) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // ANCHOR: todo_6_3 set `flags` with `F_SETFL`, and keep what `F_GETFL` reads
    let before = sys::call("fcntl", || {
        // SAFETY: `fd` is borrowed, and `F_GETFL` takes no argument.
        unsafe { libc::fcntl(fd, libc::F_GETFL) }
    })?;
    sys::call("fcntl", || {
        // SAFETY: `fd` is borrowed, and `F_SETFL` takes flags.
        unsafe { libc::fcntl(fd, libc::F_SETFL, before | flags) }
    })?;
    Ok(())
    // ANCHOR_END: todo_6_3
}

/// The longest wait that every select(2) takes: some systems turn a longer one down.
pub const LONGEST: Duration = Duration::from_secs(100_000_000);

/// The last argument of select(2), for the shortest wait that is not shorter than `duration`, but of
/// [`LONGEST`] at most: seconds, and the microseconds that are left, which are less than a million.
pub fn timeout(duration: Duration) -> libc::timeval {
    // ANCHOR: todo_6_4 not less than asked for, a million microseconds are a second; at most `LONGEST`
    let micros = duration.min(LONGEST).as_nanos().div_ceil(1000);
    libc::timeval {
        tv_sec: (micros / 1_000_000) as libc::time_t,
        tv_usec: (micros % 1_000_000) as libc::suseconds_t,
    }
    // ANCHOR_END: todo_6_4
}

/// A pipe that is readable once a signal has come, whether or not anybody slept at that time.
#[derive(Debug)]
pub struct SelfPipe {
    /// What poll(2) waits for. It does not block.
    reader: PipeReader,
}

/// The writing end, for the handler. It does not block either, and it is never closed: the handler
/// may run at any time.
static WRITER: AtomicI32 = AtomicI32::new(-1);

impl SelfPipe {
    /// From now on, `signal` fills the pipe. There is one pipe: a second call takes over.
    pub fn new(signal: libc::c_int) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        sys::set_nonblocking(&reader)?;
        sys::set_nonblocking(&writer)?;
        WRITER.store(writer.into_raw_fd(), Ordering::Relaxed);
        // SAFETY: an action is integers and a pointer, for which all zeros will do.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
        sys::call("sigaction", || {
            // SAFETY: the handler takes one argument, as the action says.
            unsafe { libc::sigaction(signal, &action, ptr::null_mut()) }
        })?;
        Ok(SelfPipe { reader })
    }

    /// The row that waits for the signal, for the table of poll(2).
    pub fn row(&self) -> libc::pollfd {
        libc::pollfd { fd: self.reader.as_raw_fd(), events: libc::POLLIN, revents: 0 }
    }

    /// Whether the signal has come since the last time; empties the pipe.
    pub fn came(&self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        while ask(&self.reader, &mut bytes)? == Answer::Bytes {}
        Ok(!bytes.is_empty())
    }
}

/// Runs between any two instructions of the thread that gets the signal. It may call what
/// signal-safety(7) lists: write(2), and nothing that allocates, locks or panics.
extern "C" fn handler(_signal: libc::c_int) {
    // ANCHOR: todo_6_5 write a byte to `WRITER`, and leave `*errno()` as it was
    // SAFETY: it points to this thread's `errno`.
    let before = unsafe { *errno() };
    // SAFETY: the byte is a constant. A full pipe is an error, and readable already.
    unsafe { libc::write(WRITER.load(Ordering::Relaxed), b"!".as_ptr().cast(), 1) };
    // SAFETY: as above.
    unsafe { *errno() = before };
    // ANCHOR_END: todo_6_5
}

/// Where this thread's `errno` is.
pub fn errno() -> *mut libc::c_int {
    // SAFETY: it takes nothing and cannot fail.
    #[cfg(target_os = "linux")]
    return unsafe { libc::__errno_location() };
    // SAFETY: as above.
    #[cfg(not(target_os = "linux"))]
    return unsafe { libc::__error() };
}

/// Sends `input` to `server`, and returns all that it sends back, until it closes the connection.
///
/// It sends and receives in one loop: a server that answers while it reads would otherwise fill one
/// buffer, and this side the other, and neither would get any further.
pub fn exchange(input: &[u8], server: &TcpStream) -> io::Result<Vec<u8>> {
    server.set_nonblocking(true)?;
    // ANCHOR: todo_6_6 mend `exchange_hastily`, so that all of the answer comes back
    let (mut left, mut output, mut sending) = (input, Vec::new(), true);
    loop {
        if sending && left.is_empty() {
            server.shutdown(Shutdown::Write)?;
            sending = false;
        }
        let ready = ready(server, sending)?;
        if ready & !libc::POLLOUT != 0 && receive(server, &mut output)? == Answer::End {
            return Ok(output);
        }
        if ready & libc::POLLOUT != 0 && sending {
            left = &left[send(server, left)?..];
        }
    }
    // ANCHOR_END: todo_6_6
}

// ANCHOR: exchange_hastily
/// The version to mend: when the input is sent, it is done.
pub fn exchange_hastily(input: &[u8], server: &TcpStream) -> io::Result<Vec<u8>> {
    server.set_nonblocking(true)?;
    let (mut left, mut output) = (input, Vec::new());
    while !left.is_empty() {
        let ready = ready(server, true)?;
        if ready & !libc::POLLOUT != 0 && receive(server, &mut output)? == Answer::End {
            return Ok(output);
        }
        if ready & libc::POLLOUT != 0 {
            left = &left[send(server, left)?..];
        }
    }
    Ok(output)
}
// ANCHOR_END: exchange_hastily

/// Sleeps until `stream` has something to say or, if asked, room to write: `POLLOUT` in the result
/// is room, everything else is a reason to read. 0 if a signal ended the sleep.
pub fn ready(stream: &TcpStream, or_room: bool) -> io::Result<libc::c_short> {
    let events = if or_room { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    let mut table = [libc::pollfd { fd: stream.as_raw_fd(), events, revents: 0 }];
    match wait(&mut table) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        result => result.map(|()| table[0].revents),
    }
}

/// Reads once, what is there now, and adds it to `output`.
pub fn receive(stream: &TcpStream, output: &mut Vec<u8>) -> io::Result<Answer> {
    let (fd, mut buffer) = (stream.as_raw_fd(), [0_u8; 65536]);
    let length = sys::restart("read", || {
        // SAFETY: pointer and length are those of `buffer`, which is ours.
        unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    meaning(length, &buffer, output)
}

/// Writes once, as much of `bytes` as there is room for now; returns how much that was.
pub fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let fd = stream.as_raw_fd();
    let length = sys::restart("write", || {
        // SAFETY: pointer and length are those of `bytes`, borrowed until `write` returns.
        unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
    });
    match length {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        length => length.map(|length| length as usize),
    }
}

/// What to do when a signal has come. `said` is the descriptor that it names; `None` is the bare
/// `SIGIO`, which the kernel sends when its queue has no room for another that names one. No read
/// of `pipes` waits.
pub fn on_signal(
    said: Option<RawFd>,
    pipes: &[PipeReader],
    arrivals: &mut Vec<u8>,
) -> io::Result<()> {
    // ANCHOR: todo_6_7 mend `on_signal_hastily`, so that no byte stays in a pipe
    let meant = |pipe: &&PipeReader| said.is_none_or(|fd| fd == pipe.as_raw_fd());
    for pipe in pipes.iter().filter(meant) {
        while ask(pipe, arrivals)? == Answer::Bytes {}
    }
    Ok(())
    // ANCHOR_END: todo_6_7
}

// ANCHOR: on_signal_hastily
/// The version to mend: one read for each signal.
pub fn on_signal_hastily(
    said: Option<RawFd>,
    pipes: &[PipeReader],
    arrivals: &mut Vec<u8>,
) -> io::Result<()> {
    if let Some(pipe) = pipes.iter().find(|pipe| said == Some(pipe.as_raw_fd())) {
        ask(pipe, arrivals)?;
    }
    Ok(())
}
// ANCHOR_END: on_signal_hastily
