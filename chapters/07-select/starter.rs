//! # Layer 7 · a reactor on `select(2)`
//!
//! **Before.** `ch04_park` sleeps where only a thread can wake it. `ch06_io_models` asks the kernel,
//! and every wait is written by hand for its own descriptors.
//!
//! **Idea.** The park *is* the system call. Futures leave a descriptor and a waker; `block_on`
//! sleeps in `select` on all of them at once, and wakes whoever waited for those that are ready.
//!
//! **Invariants.**
//! 1. *Interest while somebody waits:* a descriptor that fired is not asked for again until
//!    somebody waits for it again; otherwise one unread byte would turn every sleep into a loop.
//! 2. *The newest:* of all the wakers left for a descriptor, the last one is woken.
//! 3. *Out of range is an error:* a descriptor that the bit set has no bit for is refused.
//! 4. *Released, then woken:* no borrow of the reactor is alive while a waker runs.
//!
//! **Still wrong.** 1,024 descriptors at most, and one reader for each. The next layer, `ch08_poll`,
//! has a table in place of the set.
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter};
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use under_await::ch05_handoff::wake_all;
use under_await::sys;

/// Sleeps until a descriptor in `reads` or `writes` is ready, a signal comes, or `timeout` has
/// passed; `None` is for ever. Leaves the ready ones in the sets. Fails as select(2): `Interrupted`
/// when a signal came, and then the sets are to be made anew.
pub fn select(
    reads: &mut FdSet,
    writes: &mut FdSet,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let count = reads.count.max(writes.count);
    if sys::spurious() {
        return Ok(count as usize); // The sets are left as they are: all of it is ready.
    }
    let mut timeout = timeout.map(timeval);
    let timeout = timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let ready = sys::call("select", || {
        // SAFETY: sets and timeout are ours alone until it returns; no bit is at `count` or above.
        unsafe { libc::select(count, &mut reads.bits, &mut writes.bits, ptr::null_mut(), timeout) }
    })?;
    Ok(ready as usize)
}

/// `duration` as select(2) takes it: rounded up, and no more than some kernels accept.
fn timeval(duration: Duration) -> libc::timeval {
    let micros = duration.min(Duration::from_secs(100_000_000)).as_nanos().div_ceil(1000);
    libc::timeval {
        tv_sec: (micros / 1_000_000) as libc::time_t,
        tv_usec: (micros % 1_000_000) as libc::suseconds_t,
    }
}

/// A set of descriptors: one bit for each number below `FD_SETSIZE`.
#[derive(Clone, Copy)]
pub struct FdSet {
    /// The kernel's own set. No bit at `count` or above is set.
    bits: libc::fd_set,
    /// One more than the highest descriptor that was ever in it.
    count: RawFd,
}

impl FdSet {
    /// The empty set.
    #[allow(clippy::new_without_default, reason = "`new` is the name in this field")]
    pub fn new() -> Self {
        // SAFETY: an `fd_set` is an array of integers, and all zeroes is what `FD_ZERO` writes.
        FdSet { bits: unsafe { mem::zeroed() }, count: 0 }
    }
}

impl FdSet {
    /// Puts `fd` in.
    ///
    /// # Errors
    /// `InvalidInput` if there is no bit for it. C's `FD_SET` writes past the end then.
    pub fn insert(&mut self, fd: RawFd) -> io::Result<()> {
        todo!("7.1: `check(fd)`, then set its bit, and keep `count` above it")
    }

    /// Whether `fd` is in.
    pub fn contains(&self, fd: RawFd) -> bool {
        // SAFETY: `fd` is less than `count`, and so has a bit.
        (0..self.count).contains(&fd) && unsafe { libc::FD_ISSET(fd, &self.bits) }
    }
}

/// Whether a set has a bit for `fd`.
fn check(fd: RawFd) -> io::Result<()> {
    if (0..libc::FD_SETSIZE as RawFd).contains(&fd) {
        return Ok(());
    }
    let text =
        format!("no bit for descriptor {fd} in select(2): FD_SETSIZE is {}", libc::FD_SETSIZE);
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

impl std::fmt::Debug for FdSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries((0..self.count).filter(|fd| self.contains(*fd))).finish()
    }
}

/// Which futures of this thread wait for which descriptors.
struct Reactor {
    /// Who waits to read from a descriptor, and who waits to write to it.
    wakers: [BTreeMap<RawFd, Waker>; 2],
    /// A pipe of our own, which becomes readable when another thread wakes us. The wakers share both
    /// its ends: one that outlives the reactor must not write into a pipe that nobody reads.
    pipe: Arc<(PipeReader, PipeWriter)>,
}

/// Which of the two to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To read, or to accept.
    Read,
    /// To write, or to be connected.
    Write,
}

thread_local! {
    /// This thread's reactor, made when it is first needed.
    static REACTOR: RefCell<Option<Reactor>> = const { RefCell::new(None) };
}

/// Lends out this thread's reactor. Nothing of the user's may run meanwhile.
fn with_reactor<T>(f: impl FnOnce(&mut Reactor) -> io::Result<T>) -> io::Result<T> {
    let lend = |reactor: &RefCell<Option<Reactor>>| match &mut *reactor.borrow_mut() {
        Some(reactor) => f(reactor),
        none => f(none.insert(Reactor::new()?)),
    };
    // An error means that the thread is ending, and that its reactor is gone already.
    REACTOR.try_with(lend).map_err(io::Error::other)?
}

/// Ready when a read from `io` would not wait. One future may wait for it at a time: a second one
/// takes its place, and the first that goes leaves the place empty. Cancel safe: nothing was read.
///
/// # Errors
/// When select(2) has no bit for it.
pub async fn readable(io: &impl AsFd) -> io::Result<()> {
    Readiness::new(io, Direction::Read).await
}

/// Ready when a write to `io` would not wait. Everything else is as with [`readable`].
pub async fn writable(io: &impl AsFd) -> io::Result<()> {
    Readiness::new(io, Direction::Write).await
}

/// The future of both.
struct Readiness {
    /// What it waits for.
    fd: RawFd,
    /// To read from it or to write to it.
    direction: Direction,
    /// Whether it has left a waker. If none is there, the reactor took it: the descriptor is ready.
    waiting: bool,
    /// The waker is in the reactor of one thread, so this is not `Send`.
    here: PhantomData<*const ()>,
}

impl Readiness {
    fn new(io: &impl AsFd, direction: Direction) -> Self {
        Readiness { fd: io.as_fd().as_raw_fd(), direction, waiting: false, here: PhantomData }
    }
}

impl Future for Readiness {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        check(self.fd)?;
        // Dropped after the reactor is free again, whichever waker it is then.
        let mut waker = Some(cx.waker().clone());
        let waiting = mem::replace(&mut self.waiting, true);
        let answer: Poll<()> = with_reactor(|reactor| {
            let wakers = &mut reactor.wakers[self.direction as usize];
            todo!("7.2: ready if it waited and its waker is gone, otherwise leave the newest")
        })?;
        answer.map(Ok)
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        let direction = self.direction as usize;
        let remove = |reactor: &mut Reactor| Ok(reactor.wakers[direction].remove(&self.fd));
        let _waker = self.waiting.then(|| with_reactor(remove));
    }
}

impl Reactor {
    /// Sleeps until something that somebody waits for is ready, at most for `timeout`, and returns
    /// its wakers. Nobody waits for it any longer then.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Vec<Waker>> {
        let mut sets = [FdSet::new(), FdSet::new()];
        sets[0].insert(self.pipe.0.as_raw_fd())?;
        for (set, wakers) in sets.iter_mut().zip(&self.wakers) {
            wakers.keys().try_for_each(|fd| set.insert(*fd))?;
        }
        let [reads, writes] = &mut sets;
        if sys::unless_interrupted(select(reads, writes, timeout))? == 0 {
            return Ok(Vec::new()); // After a signal the sets say nothing.
        }
        if sets[0].contains(self.pipe.0.as_raw_fd()) {
            sys::silence(&self.pipe.0);
        }
        Ok(self.fired(&sets))
    }
}

impl Reactor {
    fn new() -> io::Result<Self> {
        Ok(Reactor { wakers: Default::default(), pipe: Arc::new(sys::pipe()?) })
    }

    /// Takes out the wakers of the descriptors in `sets`.
    fn fired(&mut self, sets: &[FdSet; 2]) -> Vec<Waker> {
        todo!("7.3: take the wakers whose descriptors are in the set of their direction")
    }
}

/// Runs `future` to completion on this thread, which sleeps in `select` while it is pending.
///
/// # Panics
/// When this thread's reactor cannot be made, or the system refuses to wait.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let pipe = with_reactor(|reactor| Ok(reactor.pipe.clone())).expect("a pipe for the wakes");
    let sleeper = thread::current().id();
    let root = Arc::new(Root { woken: AtomicBool::new(false), sleeper, pipe });
    let waker = Waker::from(root.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !turn(&root) {}
    }
}

/// Sleeps once, or looks if `root` was woken before; wakes whoever waited for what is ready. Returns
/// whether `root` was woken, and uses that up.
fn turn(root: &Root) -> bool {
    // A future that wakes itself again and again must not keep the others from the kernel.
    let timeout = root.woken.load(Ordering::Acquire).then_some(Duration::ZERO);
    let fired = with_reactor(|reactor| reactor.wait(timeout)).expect("select waits");
    wake_all(fired);
    root.woken.swap(false, Ordering::Acquire)
}

/// The waker of the future that `block_on` runs.
struct Root {
    /// Whether it was woken since its last poll began.
    woken: AtomicBool,
    /// The thread that sleeps.
    sleeper: ThreadId,
    /// A byte in here ends its sleep.
    pipe: Arc<(PipeReader, PipeWriter)>,
}

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        // Pairs with the `Acquire` in `turn`. The byte comes after the flag, so the sleeper that
        // it wakes finds the flag set. Whoever runs this on the thread itself is awake.
        let first = !self.woken.swap(true, Ordering::Release);
        if first && thread::current().id() != self.sleeper {
            sys::ring(&self.pipe.1);
        }
    }
}

/// What the chapter does not show.
pub mod extend {
    // What chapter 7 asks beyond its layer.

    use std::io::{self, PipeReader, Read};
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::{Duration, Instant};

    use super::{FdSet, select};

    /// Sleeps until a read from `io` would not wait, or `limit` has passed: whether the former. With a
    /// limit of 0 it looks, and does not sleep.
    ///
    /// # Errors
    /// What `select` says, except that a signal is no error.
    pub fn readable_within(io: &impl AsFd, limit: Duration) -> io::Result<bool> {
        let fd = io.as_fd().as_raw_fd();
        // None if the clock does not count so far: then there is no end to the wait.
        let deadline = Instant::now().checked_add(limit);
        todo!("7.4: `select`, and again after a signal, with the time that is left")
    }

    /// Reads all of `pipes` to their ends, sleeping in `select` between the reads, and returns the bytes
    /// in the order in which they came.
    ///
    /// # Errors
    /// What `select` and the reads say.
    pub fn gather(pipes: Vec<PipeReader>) -> io::Result<Vec<u8>> {
        todo!("7.5: what `gather_in_one_set` below is meant to do")
    }

    /// The version to mend. It makes its set once, and asks again with what is left of it.
    ///
    /// # Errors
    /// What `select` and the reads say.
    pub fn gather_in_one_set(mut pipes: Vec<PipeReader>) -> io::Result<Vec<u8>> {
        let (mut bytes, mut ended) = (Vec::new(), 0);
        let mut reads = FdSet::new();
        pipes.iter().try_for_each(|pipe| reads.insert(pipe.as_raw_fd()))?;
        while ended < pipes.len() {
            select(&mut reads, &mut FdSet::new(), None)?;
            for pipe in &mut pipes {
                if reads.contains(pipe.as_raw_fd()) {
                    let mut buffer = [0; 64];
                    let length = pipe.read(&mut buffer)?;
                    bytes.extend(&buffer[..length]);
                    ended += usize::from(length == 0);
                }
            }
        }
        Ok(bytes)
    }
}
