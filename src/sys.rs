//! # The ground · system calls, announced
//!
//! The layers call the system where a chapter is about that call, and wrap the call in [`call`] or
//! [`restart`]. So it is written into the ledger, its errors become `io::Error`, and a test can
//! make it fail: see [`inject`]. What cannot fail and does not wait is called as it is: the clocks,
//! and layer 6's `gettid`, `pthread_sigmask` and `aio_error`. What only the system knows, and more than
//! one layer asks, stands here too.

use std::cell::Cell;
use std::io;
#[cfg(unix)]
use std::io::{PipeReader, PipeWriter, Read, Write};
#[cfg(unix)]
use std::mem::offset_of;
#[cfg(unix)]
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::ledger;
use crate::ledger::Event;

// ANCHOR: call
/// Makes the system call `name` and turns its -1 into the error that `errno` names.
///
/// # Errors
/// Whatever the call says; and what a test injects, in place of the call or after it.
pub fn call<T: From<i8> + PartialEq>(
    name: &'static str,
    make: impl FnOnce() -> T,
) -> io::Result<T> {
    attempt(name, || {
        let result = make();
        if result == T::from(-1) { Err(io::Error::last_os_error()) } else { Ok(result) }
    })
}

/// As [`call`], for system calls that std makes for us.
///
/// # Errors
/// As [`call`].
pub fn attempt<T>(name: &'static str, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    ledger::record("kernel", Event::Call(name));
    let Some(errno) = injected(name) else { return make() };
    if errno < 0 {
        let _ = make();
    }
    Err(io::Error::from_raw_os_error(errno.abs()))
}

/// As [`call`], again and again while a signal interrupts it (`EINTR`): for calls that have done
/// nothing when they are interrupted, and whose arguments stay true. A wait with a timeout is not
/// one of them.
pub fn restart<T: From<i8> + PartialEq>(
    name: &'static str,
    mut make: impl FnMut() -> T,
) -> io::Result<T> {
    loop {
        match call(name, &mut make) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What came of a wait: nothing, if a signal ended it.
///
/// # Errors
/// All others.
pub fn unless_interrupted<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(T::default()),
        result => result,
    }
}
// ANCHOR_END: call

// ANCHOR: set_nonblocking
/// Makes calls on `io` return `WouldBlock` where they would wait. Other flags stay as they are.
///
/// # Errors
/// What fcntl(2) says.
#[cfg(unix)]
pub fn set_nonblocking(io: &impl AsFd) -> io::Result<()> {
    let fd = io.as_fd().as_raw_fd();
    let flags = call("fcntl", || {
        // SAFETY: `fd` is borrowed, and `F_GETFL` takes no argument.
        unsafe { libc::fcntl(fd, libc::F_GETFL) }
    })?;
    call("fcntl", || {
        // SAFETY: `fd` is borrowed, and `F_SETFL` takes flags.
        unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }
    })?;
    Ok(())
}
// ANCHOR_END: set_nonblocking

// ANCHOR: pipe
/// A pipe whose ends do not block: to end a wait by, if the reading end is waited for.
///
/// # Errors
/// When there are too many open files, most likely.
#[cfg(unix)]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = attempt("pipe", io::pipe)?;
    set_nonblocking(&reader)?;
    set_nonblocking(&writer)?;
    Ok((reader, writer))
}

/// Makes the other end of `pipe` readable.
#[cfg(unix)]
pub fn ring(mut pipe: &PipeWriter) {
    // A signal may come first. A full pipe is readable already.
    let mut write = || attempt("write", || pipe.write(&[1]));
    while write().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
}

/// Takes out what was rung into `pipe`; if something is left, that makes the next wait a short one.
#[cfg(unix)]
pub fn silence(mut pipe: &PipeReader) {
    let _ = attempt("read", || pipe.read(&mut [0; 64]));
}
// ANCHOR_END: pipe

// ANCHOR: millis
/// `timeout` as poll(2) takes it: in milliseconds, and -1 for ever. It is rounded up, or the last
/// millisecond before a deadline would be spent on asking over and over.
#[cfg(unix)]
pub fn millis(timeout: Option<Duration>) -> libc::c_int {
    let millis = timeout.map(|timeout| timeout.as_nanos().div_ceil(1_000_000));
    millis.map_or(-1, |millis| millis.try_into().unwrap_or(libc::c_int::MAX))
}
// ANCHOR_END: millis

// ANCHOR: tcp_socket
/// A TCP socket for addresses of the kind of `address`: non-blocking and closed on exec, both from
/// its first moment on where the system can do that.
///
/// # Errors
/// What socket(2) says.
#[cfg(unix)]
pub fn tcp_socket(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let kind = libc::SOCK_STREAM;
    let fd = call("socket", || {
        // SAFETY: three numbers go in, and one comes out.
        unsafe { libc::socket(family, kind, 0) }
    })?;
    // SAFETY: the descriptor is new, so nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    {
        set_nonblocking(&socket)?;
        call("fcntl", || {
            // SAFETY: `socket` is ours, and `F_SETFD` takes flags; a new descriptor has no others.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }
        })?;
    }
    // Elsewhere std sends with `MSG_NOSIGNAL`, which Apple's systems do not have.
    #[cfg(target_vendor = "apple")]
    set_option(&socket, libc::SOL_SOCKET, libc::SO_NOSIGPIPE, 1)?;
    Ok(socket)
}

/// Sets a socket option whose value is a number.
///
/// # Errors
/// What setsockopt(2) says.
#[cfg(unix)]
pub fn set_option(socket: &impl AsFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    call("setsockopt", || {
        let length = size_of_val(&value) as libc::socklen_t;
        // SAFETY: the pointer and the length are those of `value`, which is read during the call.
        unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length) }
    })?;
    Ok(())
}
// ANCHOR_END: tcp_socket

// ANCHOR: recv
/// Reads from `socket`: some of what is there, or 0 bytes at its end. Without room, it is 0 as well.
///
/// # Errors
/// What recv(2) says.
#[cfg(unix)]
pub fn recv(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    if buffer.is_empty() {
        return Ok(0); // recv(2) would wait until there is something to leave where it is.
    }
    let portion = portion(buffer.len());
    attempt("recv", || socket.read(&mut buffer[..portion]))
}

/// Writes to `socket`: as much of `bytes` as there is room for. std sends them in a way that makes a
/// peer that is gone an error, and not a signal.
///
/// # Errors
/// What send(2) says.
#[cfg(unix)]
pub fn send(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    attempt("send", || socket.write(&bytes[..portion(bytes.len())]))
}
// ANCHOR_END: recv

// ANCHOR: begin_connect
/// A socket that is being connected to `address`, and sends small writes at once (`TCP_NODELAY`). It is
/// writable when that has come to an end.
///
/// # Errors
/// What socket(2) and connect(2) say at once; what they say later is in `SO_ERROR`.
#[cfg(unix)]
pub fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let (socket, address) = (tcp_socket(&address)?, Address::from(address));
    // Now: Apple's systems refuse it to a connection that has failed.
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    let begun = restart("connect", || {
        let (pointer, length) = address.parts();
        // SAFETY: the pointer and the length are those of `address`, which is only read.
        unsafe { libc::connect(socket.as_raw_fd(), pointer, length) }
    });
    match begun.map_err(|error| (error.raw_os_error(), error)) {
        // It goes on without us. After a signal too: then it is asked again, and says one of these.
        Err((Some(libc::EINPROGRESS | libc::EALREADY | libc::EISCONN), _)) => Ok(socket.into()),
        Err((_, error)) => Err(error),
        Ok(_) => Ok(socket.into()),
    }
}
// ANCHOR_END: begin_connect

// ANCHOR: accept
/// Takes the next connection of `listener`: non-blocking and closed on exec from its first moment on.
///
/// # Errors
/// What accept(2) says.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let mut peer = Address::room();
    let fd = call("accept", || {
        let (pointer, length) = peer.parts_mut();
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: `peer` has room for as many bytes as it says, and is ours alone.
        unsafe { libc::accept4(listener.as_raw_fd(), pointer, length, flags) }
    })?;
    // SAFETY: the descriptor is new, so nobody else owns it.
    let stream = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((stream.into(), peer.try_into()?))
}
// ANCHOR_END: accept

/// The same where there is no accept4(2): the flags come a moment after the connection.
///
/// # Errors
/// What accept(2) and fcntl(2) say.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android", target_os = "freebsd"))))]
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = attempt("accept", || listener.accept())?;
    set_nonblocking(&stream)?;
    Ok((stream, peer))
}

// ANCHOR: Address
/// An address as the kernel takes it and gives it: a `sockaddr_in` or a `sockaddr_in6`, in bytes.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))] // No `sockaddr` needs a stricter alignment.
pub struct Address {
    /// The larger of the two; the fields stand where `libc` says they do.
    bytes: [u8; size_of::<libc::sockaddr_in6>()],
    /// How many bytes there are, or how many there is room for.
    length: libc::socklen_t,
}

#[cfg(unix)]
impl Address {
    /// Room for any address.
    pub fn room() -> Self {
        let bytes = [0; size_of::<libc::sockaddr_in6>()];
        Address { bytes, length: bytes.len() as libc::socklen_t }
    }

    /// For calls that read an address: where it stands, and how long it is.
    pub fn parts(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        (self.bytes.as_ptr().cast(), self.length)
    }

    /// For calls that write an address: where it goes, and where its length is, which is at first
    /// the length of the room.
    pub fn parts_mut(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        (self.bytes.as_mut_ptr().cast(), &mut self.length)
    }

    fn set<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("a slice of that length")
    }
}

#[cfg(unix)]
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let mut bytes = Address::room();
        let family = |family: i32| (family as libc::sa_family_t).to_ne_bytes();
        match address {
            SocketAddr::V4(v4) => {
                bytes.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                bytes.set(offset_of!(libc::sockaddr_in, sin_family), family(libc::AF_INET));
                bytes.set(offset_of!(libc::sockaddr_in, sin_port), v4.port().to_be_bytes());
                bytes.set(offset_of!(libc::sockaddr_in, sin_addr), v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                use libc::sockaddr_in6;
                bytes.set(offset_of!(sockaddr_in6, sin6_family), family(libc::AF_INET6));
                bytes.set(offset_of!(sockaddr_in6, sin6_port), v6.port().to_be_bytes());
                bytes.set(offset_of!(sockaddr_in6, sin6_flowinfo), v6.flowinfo().to_ne_bytes());
                bytes.set(offset_of!(sockaddr_in6, sin6_addr), v6.ip().octets());
                bytes.set(offset_of!(sockaddr_in6, sin6_scope_id), v6.scope_id().to_ne_bytes());
            }
        }
        bytes
    }
}

#[cfg(unix)]
impl TryFrom<Address> for SocketAddr {
    type Error = io::Error;

    /// # Errors
    /// `InvalidData` when it is an address of another kind.
    fn try_from(bytes: Address) -> io::Result<Self> {
        use libc::{sockaddr_in, sockaddr_in6};
        let family = bytes.get(offset_of!(sockaddr_in, sin_family));
        // Both kinds have family and port in the same place.
        let port = u16::from_be_bytes(bytes.get(offset_of!(sockaddr_in, sin_port)));
        match i32::from(libc::sa_family_t::from_ne_bytes(family)) {
            libc::AF_INET => {
                let octets = bytes.get::<4>(offset_of!(sockaddr_in, sin_addr));
                Ok((Ipv4Addr::from(octets), port).into())
            }
            libc::AF_INET6 => {
                let octets = bytes.get::<16>(offset_of!(sockaddr_in6, sin6_addr));
                let number = |at| u32::from_ne_bytes(bytes.get(at));
                let flow = number(offset_of!(sockaddr_in6, sin6_flowinfo));
                let scope = number(offset_of!(sockaddr_in6, sin6_scope_id));
                Ok(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into())
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "neither IPv4 nor IPv6")),
        }
    }
}
// ANCHOR_END: Address

// ANCHOR: cpu_time
/// The CPU time that all threads of this process have used so far, or `None` where the system does
/// not say (Windows, Miri). Waiting asleep costs none of it; waiting in a loop costs all of it.
///
/// Source: `clock_gettime` with `CLOCK_PROCESS_CPUTIME_ID`, POSIX.1-2008, option CPT.
#[cfg(all(unix, not(miri)))]
pub fn cpu_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a `timespec` of ours, borrowed mutably for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    (result == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// The CPU time that all threads of this process have used so far: not known on this system.
#[cfg(any(not(unix), miri))]
pub fn cpu_time() -> Option<Duration> {
    None
}
// ANCHOR_END: cpu_time

// ANCHOR: inject
thread_local! {
    static FAULTS: Cell<Option<Faults>> = const { Cell::new(None) };
}

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Where the sequence of faults starts: the same seed, the same faults. It is not 0.
    pub seed: u64,
    /// One call in so many fails; 0 for none.
    pub one_in: u64,
    /// The calls that fail, with the error they fail with: `("read", libc::EAGAIN)`. They are not made,
    /// unless there is a minus: after `("connect", -libc::EINTR)` the connection is under way.
    pub errors: &'static [(&'static str, i32)],
    /// Whether reads and writes may be cut short, and reports of readiness made up: with one of
    /// everything that is watched, a wait returns at once.
    pub short: bool,
}

/// From now on, the system calls of this thread fail as `faults` says; `None` ends it.
pub fn inject(faults: Option<Faults>) {
    FAULTS.set(faults);
}

/// How much of a buffer of `length` bytes the next read or write is given: all of it, or less when
/// a test wants transfers to be short.
pub fn portion(length: usize) -> usize {
    match FAULTS.get() {
        Some(faults) if faults.short && length > 1 && strikes() => 1 + chance() as usize % length,
        _ => length,
    }
}

/// Whether a wait is to report readiness that is not there: a kernel may (select(2), BUGS).
pub fn spurious() -> bool {
    FAULTS.get().is_some_and(|faults| faults.short) && strikes()
}

/// The error with which a test wants the call `name` to fail.
fn injected(name: &str) -> Option<i32> {
    let faults = FAULTS.get()?;
    let of_name = faults.errors.iter().filter(|(call, _)| *call == name).collect::<Vec<_>>();
    let strikes = !of_name.is_empty() && strikes();
    strikes.then(|| of_name[chance() as usize % of_name.len()].1)
}

/// Whether this call is the one in so many.
fn strikes() -> bool {
    FAULTS.get().is_some_and(|faults| faults.one_in > 0 && chance().is_multiple_of(faults.one_in))
}

/// The next number of the sequence (xorshift64, Marsaglia 2003).
fn chance() -> u64 {
    let Some(mut faults) = FAULTS.get() else { return 0 };
    faults.seed ^= faults.seed << 13;
    faults.seed ^= faults.seed >> 7;
    faults.seed ^= faults.seed << 17;
    FAULTS.set(Some(faults));
    faults.seed
}
// ANCHOR_END: inject
