//! # Layer 6 · five ways to be told
//!
//! **Before.** `ch05_handoff` is woken by other threads: one for every sleep, one for every socket.
//! The kernel knows what goes on at thousands of descriptors, and so far nobody lets it say so.
//!
//! **Idea.** Stevens' five models, doing the same job: read some pipes to their ends, and return
//! the bytes as they came. They differ in who waits, for how many pipes, and in what they are told.
//!
//! **Invariants.**
//! 1. *Nothing is lost:* all bytes of all pipes are returned, whatever signals interrupt the wait.
//! 2. *None held up:* no pipe has to wait until another one speaks; except in `blocking`, and in
//!    `asynchronous` when the library runs out of helpers.
//! 3. *Asleep:* while nothing comes, nothing is asked, except by `non_blocking`.
//! 4. *A hint:* readiness that is reported and is not there costs a call, and never a sleep.
//!
//! **Still wrong.** Each loop is written for its own pipes, and none of them can be awaited. The
//! next layer, the reactor on `select`, puts one such wait under every future at once.
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
use std::io::{self, PipeReader};
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use under_await::sys;

/// Asks one pipe, and sleeps until it answers. The others have to wait for its end.
pub fn blocking(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut arrivals = Vec::new();
    for pipe in pipes {
        while ask(pipe, &mut arrivals)? == Answer::Bytes {}
    }
    Ok(arrivals)
}

/// What a pipe says when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There were bytes, and they have been read.
    Bytes,
    /// There are none now. A pipe that blocks never says so: it waits until there are some.
    NothingYet,
    /// There will be no more: all writers have closed it.
    End,
}

/// Reads once from `pipe`, and adds what was there to `arrivals`.
pub fn ask(pipe: &PipeReader, arrivals: &mut Vec<u8>) -> io::Result<Answer> {
    let (fd, mut buffer) = (pipe.as_raw_fd(), [0_u8; 64]);
    let room = sys::portion(buffer.len());
    let length = sys::restart("read", || {
        // SAFETY: `buffer` is ours, and has room for `room` bytes.
        unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), room) }
    });
    meaning(length, &buffer, arrivals)
}

/// What it means when read(2) gives `length`. The bytes, which stand at the front of `buffer`, are
/// added to `arrivals`.
pub fn meaning(
    length: io::Result<isize>,
    buffer: &[u8],
    arrivals: &mut Vec<u8>,
) -> io::Result<Answer> {
    todo!("6.1: tell apart: bytes, the end, nothing yet, and a real error")
}

/// Asks each pipe in turn, over and over: nobody sleeps.
pub fn non_blocking(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let (mut open, mut arrivals) = (opened(pipes)?, Vec::new());
    while open.contains(&true) {
        for (pipe, open) in pipes.iter().zip(&mut open).filter(|(_, open)| **open) {
            *open = ask(pipe, &mut arrivals)? != Answer::End;
        }
    }
    Ok(arrivals)
}

/// From now on no read of these pipes waits; and as far as we know, all of them are open.
fn opened(pipes: &[PipeReader]) -> io::Result<Vec<bool>> {
    pipes.iter().map(|pipe| sys::set_nonblocking(pipe).map(|()| true)).collect()
}

/// Sleeps until any of the pipes has something to say, and asks those that have.
pub fn multiplexed(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut table = rows(pipes)?;
    todo!("6.2: while rows are left: wait, ask what is ready, take out what has ended")
}

/// The table of poll(2): a row for each pipe. From now on no read of these pipes waits.
pub fn rows(pipes: &[PipeReader]) -> io::Result<Vec<libc::pollfd>> {
    opened(pipes)?;
    let fds = pipes.iter().map(|pipe| pipe.as_raw_fd());
    Ok(fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect())
}

/// Sleeps until a row of `table` is ready, and marks it in `revents`. `Interrupted` means that a
/// signal came first, and then the marks say nothing.
pub fn wait(table: &mut [libc::pollfd]) -> io::Result<()> {
    sys::call("poll", || {
        // SAFETY: pointer and length are those of `table`, borrowed mutably until `poll` returns.
        unsafe { libc::poll(table.as_mut_ptr(), table.len() as libc::nfds_t, -1) }
    })?;
    table.iter_mut().filter(|_| sys::spurious()).for_each(|row| row.revents |= libc::POLLIN);
    Ok(())
}

/// Sleeps until a signal says which pipe to ask.
#[cfg(target_os = "linux")]
pub fn signal_driven(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let (mut open, mut arrivals) = (opened(pipes)?, Vec::new());
    let signals = hold_back([libc::SIGRTMIN(), libc::SIGIO]);
    pipes.iter().try_for_each(announce)?;
    let mut said = None; // What came before that sent no signal: the first look is at all pipes.
    while open.contains(&true) {
        for (pipe, open) in pipes.iter().zip(&mut open) {
            if said.is_none_or(|fd| fd == pipe.as_raw_fd()) {
                *open = *open && drain(pipe, &mut arrivals)? != Answer::End;
            }
        }
        said = if open.contains(&true) { next_signal(&signals)? } else { None };
    }
    Ok(arrivals)
}

/// Asks until there are no more bytes: one signal may stand for many writes.
#[cfg(target_os = "linux")]
fn drain(pipe: &PipeReader, arrivals: &mut Vec<u8>) -> io::Result<Answer> {
    loop {
        match ask(pipe, arrivals)? {
            Answer::Bytes => {}
            answer => return Ok(answer),
        }
    }
}

/// From now on the kernel sends this thread a signal when `pipe` has something to say.
#[cfg(target_os = "linux")]
pub fn announce(pipe: &PipeReader) -> io::Result<()> {
    // From <fcntl.h>. `F_SETOWN` would name the process, and any thread of it could get the signal.
    const F_SETSIG: libc::c_int = 10;
    const F_SETOWN_EX: libc::c_int = 15;
    const F_OWNER_TID: libc::c_int = 0;
    let fd = pipe.as_raw_fd();
    // SAFETY: `gettid` takes nothing and cannot fail.
    let owner = [F_OWNER_TID, unsafe { libc::gettid() }];
    // SAFETY: `fd` is borrowed, and `owner` is laid out as an `f_owner_ex`: two integers.
    sys::call("fcntl", || unsafe { libc::fcntl(fd, F_SETOWN_EX, owner.as_ptr()) })?;
    // SAFETY: `fd` is borrowed, and `F_SETSIG` takes the number of a signal.
    sys::call("fcntl", || unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGRTMIN()) })?;
    // SAFETY: `fd` is borrowed, and `FIOASYNC` reads an integer. It sets `O_ASYNC`.
    sys::call("ioctl", || unsafe { libc::ioctl(fd, libc::FIOASYNC, &1) })?;
    Ok(())
}

/// Keeps `signals` for [`next_signal`] while this thread lives: unblocked, they end the process.
#[cfg(target_os = "linux")]
pub fn hold_back(signals: [libc::c_int; 2]) -> libc::sigset_t {
    // SAFETY: a set is an array of integers, and all zeros is the empty one.
    let mut set = unsafe { mem::zeroed() };
    for signal in signals {
        // SAFETY: `set` is ours.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    // SAFETY: `set` is ours, and nobody asks for the mask before. It cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()) };
    set
}

/// Sleeps until one of `signals` comes. It names a descriptor; `None` stands for all of them.
#[cfg(target_os = "linux")]
pub fn next_signal(signals: &libc::sigset_t) -> io::Result<Option<libc::c_int>> {
    /// The head of a `siginfo_t`, when `F_SETSIG` is behind it: the last field is `si_fd`.
    #[repr(C)]
    struct Said([libc::c_int; 3], libc::c_long, libc::c_int);
    // SAFETY: all zeros is a `siginfo_t`.
    let mut said: libc::siginfo_t = unsafe { mem::zeroed() };
    let signal = sys::restart("sigwaitinfo", || {
        // SAFETY: both are borrowed until it returns.
        unsafe { libc::sigwaitinfo(signals, &mut said) }
    })?;
    // SAFETY: `siginfo_t` begins with what `Said` lists, and is larger.
    let Said(_, _, fd) = unsafe { ptr::from_ref(&said).cast::<Said>().read() };
    // The queue of signals has an end. When it is full, the kernel sends a bare `SIGIO` instead.
    Ok((signal != libc::SIGIO).then_some(fd))
}

/// Not here: other systems send `SIGIO`, and leave it to the program to find out from whom.
#[cfg(not(target_os = "linux"))]
pub fn signal_driven(_: &[PipeReader]) -> io::Result<Vec<u8>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "F_SETSIG is there on Linux only"))
}

/// Hands out a buffer for each pipe, and sleeps until one of them comes back with bytes in it.
pub fn asynchronous(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut arrivals = Vec::new();
    let start = |pipe| Request::start(pipe).map(Some);
    let mut requests = pipes.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    while requests.iter().any(Option::is_some) {
        let (list, count) = (requests.as_ptr().cast(), requests.len() as libc::c_int);
        sys::restart("aio_suspend", || {
            // SAFETY: `list` has `count` pointers to requests alive, or null, which is passed over.
            unsafe { libc::aio_suspend(list, count, ptr::null()) }
        })?;
        for (pipe, request) in pipes.iter().zip(&mut requests) {
            let Some(complete) = request.take_if(|request| request.is_complete()) else { continue };
            let bytes = complete.finish()?;
            *request = if bytes.is_empty() { None } else { Some(Request::start(pipe)?) };
            arrivals.extend(bytes);
        }
    }
    Ok(arrivals)
}

/// A read under way. Dropped before it is complete, after an error of another one, it leaks and goes
/// on: a buffer that was freed would be written to all the same, and the pipe has to stay open.
///
/// # Invariant
/// A box that was leaked, as was its buffer. Both stay where they are until it is complete.
#[repr(transparent)]
struct Request(NonNull<libc::aiocb>);

type Buffer = [u8; 64];

impl Request {
    fn start(pipe: &PipeReader) -> io::Result<Self> {
        // SAFETY: an `aiocb` is integers and pointers, for which all zeros will do.
        let mut request: Box<libc::aiocb> = Box::new(unsafe { mem::zeroed() });
        request.aio_fildes = pipe.as_raw_fd();
        request.aio_buf = Box::into_raw(Box::<Buffer>::new([0; 64])).cast();
        request.aio_nbytes = size_of::<Buffer>();
        request.aio_sigevent.sigev_notify = libc::SIGEV_NONE;
        let request = NonNull::from(Box::leak(request));
        // SAFETY: the invariant: neither the request nor its buffer moves.
        sys::call("aio_read", || unsafe { libc::aio_read(request.as_ptr()) })?;
        Ok(Request(request))
    }
}

impl Request {
    /// What came of it, or `EINPROGRESS`; 0 is success.
    fn error(&self) -> libc::c_int {
        // SAFETY: by the invariant it is alive, and it was started.
        unsafe { libc::aio_error(self.0.as_ptr()) }
    }

    fn is_complete(&self) -> bool {
        self.error() != libc::EINPROGRESS
    }
}

impl Request {
    /// The bytes of a request that is complete; none at the end of the pipe.
    fn finish(self) -> io::Result<Vec<u8>> {
        let error = self.error();
        // SAFETY: complete, and asked for its result once.
        let length = sys::call("aio_return", || unsafe { libc::aio_return(self.0.as_ptr()) });
        // SAFETY: the invariant; and complete, so it is ours again.
        let request = unsafe { Box::from_raw(self.0.as_ptr()) };
        // SAFETY: the same holds for the buffer.
        let buffer = unsafe { Box::from_raw(request.aio_buf.cast::<Buffer>()) };
        if error != 0 {
            // `aio_return` does not set `errno`.
            return Err(io::Error::from_raw_os_error(error));
        }
        Ok(buffer[..length? as usize].to_vec())
    }
}

/// What the chapter does not show.
pub mod extend {
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
        todo!("6.3: set `flags` with `F_SETFL`, and keep what `F_GETFL` reads")
    }

    /// The longest wait that every select(2) takes: some systems turn a longer one down.
    pub const LONGEST: Duration = Duration::from_secs(100_000_000);

    /// The last argument of select(2), for the shortest wait that is not shorter than `duration`, but of
    /// [`LONGEST`] at most: seconds, and the microseconds that are left, which are less than a million.
    pub fn timeout(duration: Duration) -> libc::timeval {
        todo!("6.4: not less than asked for, a million microseconds are a second; at most `LONGEST`")
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
        todo!("6.5: write a byte to `WRITER`, and leave `*errno()` as it was")
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
        todo!("6.6: mend `exchange_hastily`, so that all of the answer comes back")
    }

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
        todo!("6.7: mend `on_signal_hastily`, so that no byte stays in a pipe")
    }

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
}
