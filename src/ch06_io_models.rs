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

use std::io::{self, PipeReader};
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use crate::sys;

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

// ANCHOR: ask
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
// ANCHOR_END: ask

// ANCHOR: meaning
/// What it means when read(2) gives `length`. The bytes, which stand at the front of `buffer`, are
/// added to `arrivals`.
pub fn meaning(
    length: io::Result<isize>,
    buffer: &[u8],
    arrivals: &mut Vec<u8>,
) -> io::Result<Answer> {
    // ANCHOR: todo_6_1 tell apart: bytes, the end, nothing yet, and a real error
    match length {
        Ok(0) => Ok(Answer::End),
        Ok(length) => {
            arrivals.extend(&buffer[..length as usize]);
            Ok(Answer::Bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Answer::NothingYet),
        Err(error) => Err(error),
    }
    // ANCHOR_END: todo_6_1
}
// ANCHOR_END: meaning

// ANCHOR: non_blocking
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
// ANCHOR_END: non_blocking

// ANCHOR: multiplexed
/// Sleeps until any of the pipes has something to say, and asks those that have.
pub fn multiplexed(pipes: &[PipeReader]) -> io::Result<Vec<u8>> {
    let mut table = rows(pipes)?;
    // ANCHOR: todo_6_2 while rows are left: wait, ask what is ready, take out what has ended
    let mut arrivals = Vec::new();
    while table.iter().any(|row| row.fd >= 0) {
        match wait(&mut table) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for (pipe, row) in pipes.iter().zip(&mut table).filter(|(_, row)| row.revents != 0) {
            if ask(pipe, &mut arrivals)? == Answer::End {
                // poll(2) passes over rows with a negative number.
                row.fd = -1;
            }
        }
    }
    Ok(arrivals)
    // ANCHOR_END: todo_6_2
}
// ANCHOR_END: multiplexed

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

// ANCHOR: signal_driven
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
// ANCHOR_END: signal_driven

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

// ANCHOR: asynchronous
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
// ANCHOR_END: asynchronous

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

// ANCHOR: finish
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
// ANCHOR_END: finish
