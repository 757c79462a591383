//! # Layer 8 · a reactor on `poll(2)`
//!
//! **Before.** `ch07_select` sleeps in the kernel, and counts to 1,023 there. It knows descriptors
//! by their numbers, which the kernel gives away again; and a wake from another thread costs it a
//! system call each time, asleep or not.
//!
//! **Idea.** A table in our own memory, a row for each descriptor: to wait is to write into the row.
//! The kernel reads the table when the thread sleeps and says which rows are ready.
//!
//! **Invariants.**
//! 1. *Interest while somebody waits:* a row is watched in a direction while a waker stands there.
//! 2. *One row each:* however often it is polled, a descriptor has one row and two wakers at most.
//! 3. *No stray wake:* a row is given away again only after whoever had it has let go of it.
//! 4. *Released, then woken:* no borrow of the reactor is alive while a waker runs.
//! 5. *A wake ends the sleep:* from any thread, and costs a system call only if there is a sleep.
//!
//! **Still wrong.** It knows descriptors, but not time: a future cannot say when it wants to go on.
//! The next layer, the timers, gives the sleep an end.

use std::cell::RefCell;
use std::env;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::ch07_select::{FdSet, select};
use crate::sys;

// ANCHOR: Direction
/// One of the two things to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To read, or to accept.
    Read,
    /// To write, or to be connected.
    Write,
}

/// One, both or none of them: what is wanted of a descriptor, or what it is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directions {
    /// [`Direction::Read`].
    pub read: bool,
    /// [`Direction::Write`].
    pub write: bool,
}
// ANCHOR_END: Direction

// ANCHOR: Backend
/// How the kernel is asked. Each backend keeps a table of rows in its own shape.
pub trait Backend: fmt::Debug {
    /// From now on, `row` stands for `fd` and is watched in the `wanted` directions; in none, not
    /// at all.
    ///
    /// # Errors
    /// When the backend cannot watch this descriptor.
    fn watch(&mut self, row: usize, fd: RawFd, wanted: Directions) -> io::Result<()>;

    /// Sleeps until a row is ready, a signal comes, or `timeout` has passed; `None` is for ever.
    /// Adds the rows that are ready, and how, to `ready`.
    ///
    /// # Errors
    /// What the system call says, signals excepted.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(usize, Directions)>,
    ) -> io::Result<()>;
}
// ANCHOR_END: Backend

// ANCHOR: PollTable
/// The table of `poll(2)`: the kernel reads it where it stands.
#[derive(Debug, Default)]
pub struct PollTable {
    /// A row that is not watched has descriptor -1, which `poll` passes over. Without any wanted
    /// event it would still report errors and hang-ups, over and over.
    rows: Vec<libc::pollfd>,
}

impl Backend for PollTable {
    fn watch(&mut self, row: usize, fd: RawFd, wanted: Directions) -> io::Result<()> {
        let unwatched = libc::pollfd { fd: -1, events: 0, revents: 0 };
        if row >= self.rows.len() {
            self.rows.resize(row + 1, unwatched);
        }
        let read = if wanted.read { libc::POLLIN } else { 0 };
        let write = if wanted.write { libc::POLLOUT } else { 0 };
        let events = read | write;
        self.rows[row] =
            if events == 0 { unwatched } else { libc::pollfd { fd, events, revents: 0 } };
        Ok(())
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(usize, Directions)>,
    ) -> io::Result<()> {
        let timeout = timeout.map_or(-1, millis);
        let count = sys::call("poll", || {
            // SAFETY: pointer and length are those of `rows`, ours alone until `poll` returns.
            unsafe { libc::poll(self.rows.as_mut_ptr(), self.rows.len() as libc::nfds_t, timeout) }
        });
        if signal(count)? == 0 {
            return Ok(());
        }
        let fired = self.rows.iter().enumerate().filter(|(_, row)| row.fd >= 0 && row.revents != 0);
        ready.extend(fired.map(|(index, row)| (index, directions(row.revents))));
        Ok(())
    }
}

/// What `poll` reports, in our terms. Errors and hang-ups concern both directions: whoever waits
/// is to try, and be told by the call.
fn directions(events: libc::c_short) -> Directions {
    let both = events & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0;
    Directions {
        read: both || events & libc::POLLIN != 0,
        write: both || events & libc::POLLOUT != 0,
    }
}

/// Milliseconds, rounded up: a timer must not be waited for with a timeout of 0, over and over,
/// until its last millisecond is through.
fn millis(duration: Duration) -> libc::c_int {
    duration.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX)
}

/// A wait that a signal has ended is a wait in which nothing got ready.
fn signal(count: io::Result<libc::c_int>) -> io::Result<libc::c_int> {
    match count {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        count => count,
    }
}
// ANCHOR_END: PollTable

// ANCHOR: SelectTable
/// The same contract on `select(2)`: the sets are made anew from the rows for every wait.
#[derive(Debug, Default)]
pub struct SelectTable {
    rows: Vec<(RawFd, Directions)>,
}

impl SelectTable {
    /// The rows that are watched: number, descriptor, directions.
    fn watched(&self) -> impl Iterator<Item = (usize, RawFd, Directions)> {
        let rows = self.rows.iter().enumerate().map(|(index, (fd, wanted))| (index, *fd, *wanted));
        rows.filter(|(_, _, wanted)| *wanted != Directions::default())
    }
}

impl Backend for SelectTable {
    fn watch(&mut self, row: usize, fd: RawFd, wanted: Directions) -> io::Result<()> {
        if row >= self.rows.len() {
            self.rows.resize(row + 1, (-1, Directions::default()));
        }
        if fd >= 0 {
            FdSet::new().insert(fd)?;
        }
        self.rows[row] = (fd, wanted);
        Ok(())
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(usize, Directions)>,
    ) -> io::Result<()> {
        let (mut reads, mut writes) = (FdSet::new(), FdSet::new());
        for (_, fd, wanted) in self.watched() {
            if wanted.read {
                reads.insert(fd)?;
            }
            if wanted.write {
                writes.insert(fd)?;
            }
        }
        if signal(select(&mut reads, &mut writes, timeout).map(|count| count as libc::c_int))? == 0
        {
            return Ok(());
        }
        ready.extend(self.watched().filter_map(|(index, fd, wanted)| {
            // An error marks a descriptor as readable and as writable (select(2)).
            let read = wanted.read && reads.contains(fd);
            let write = wanted.write && writes.contains(fd);
            (read || write).then_some((index, Directions { read, write }))
        }));
        Ok(())
    }
}
// ANCHOR_END: SelectTable

// ANCHOR: Reactor
/// Which futures of this thread wait for which descriptors.
#[derive(Debug)]
pub struct Reactor {
    /// The rows; a backend's table has the same numbers. Row 0 is the pipe that ends a sleep.
    rows: Vec<Row>,
    /// The rows that nobody has.
    free: Vec<usize>,
    /// Asks the kernel.
    backend: Box<dyn Backend>,
    /// What the last wait reported; kept for its memory.
    ready: Vec<(usize, Directions)>,
    /// The reading end of the pipe.
    pipe: PipeReader,
    /// The writing end, for other threads.
    unparker: Arc<Unparker>,
}

/// A descriptor, and who waits for it.
#[derive(Debug, Default)]
struct Row {
    /// `None` while the row is free.
    fd: Option<RawFd>,
    /// Who waits to read, and who to write.
    wakers: [Option<Waker>; 2],
}
// ANCHOR_END: Reactor

// ANCHOR: impl_Reactor
impl Reactor {
    /// A reactor with that backend.
    ///
    /// # Errors
    /// When the pipe cannot be made: too many open files, most likely.
    pub fn new(backend: impl Backend + 'static) -> io::Result<Self> {
        let (pipe, sender) = io::pipe()?;
        sys::set_nonblocking(&pipe)?;
        sys::set_nonblocking(&sender)?;
        let unparker = Arc::new(Unparker { parked: AtomicBool::new(false), pipe: sender });
        let mut reactor = Reactor {
            rows: Vec::new(),
            free: Vec::new(),
            backend: Box::new(backend),
            ready: Vec::new(),
            unparker,
            pipe,
        };
        let row = reactor.add(reactor.pipe.as_raw_fd());
        reactor.backend.watch(
            row,
            reactor.pipe.as_raw_fd(),
            Directions { read: true, write: false },
        )?;
        Ok(reactor)
    }

    /// A row for `fd`.
    fn add(&mut self, fd: RawFd) -> usize {
        let row = self.free.pop().unwrap_or_else(|| {
            self.rows.push(Row::default());
            self.rows.len() - 1
        });
        self.rows[row].fd = Some(fd);
        row
    }

    /// Tells the backend in which directions somebody waits at `row`.
    fn watch(&mut self, row: usize) -> io::Result<()> {
        let Row { fd, wakers: [reader, writer] } = &self.rows[row];
        let wanted = Directions { read: reader.is_some(), write: writer.is_some() };
        self.backend.watch(row, fd.expect("only a row that somebody has is watched"), wanted)
    }

    /// Frees `row`, and returns what stood there.
    fn remove(&mut self, row: usize) -> Row {
        self.free.push(row);
        let removed = mem::take(&mut self.rows[row]);
        let _ = self.backend.watch(row, -1, Directions::default());
        removed
    }

    /// Sleeps until something is ready or `timeout` has passed, unless `awake` holds; then it only
    /// looks. Returns the wakers of what is ready, which nobody waits for any longer.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        awake: impl Fn() -> bool,
    ) -> io::Result<Vec<Waker>> {
        // First parked, then look whether there was a wake: `unpark` does it the other way round, so
        // one of the two sees the other. That needs one order for all, `SeqCst`.
        self.unparker.parked.store(true, Ordering::SeqCst);
        let timeout = if awake() { Some(Duration::ZERO) } else { timeout };
        let mut ready = mem::take(&mut self.ready);
        let result = self.backend.wait(timeout, &mut ready);
        self.unparker.parked.store(false, Ordering::SeqCst);
        let wakers = ready.drain(..).flat_map(|(row, how)| self.fire(row, how)).collect();
        self.ready = ready;
        result.map(|()| wakers)
    }

    /// Takes the wakers of `row` that wait for what it is ready for.
    fn fire(&mut self, row: usize, ready: Directions) -> impl Iterator<Item = Waker> + use<> {
        let mut wakers = [None, None];
        if row == 0 {
            // Up to so many wakes in one go; what is left is read the next time.
            let _ = self.pipe.read(&mut [0; 64]);
        } else {
            let [reader, writer] = &mut self.rows[row].wakers;
            wakers = [reader.take_if(|_| ready.read), writer.take_if(|_| ready.write)];
            self.watch(row).expect("a row can always be watched less");
        }
        wakers.into_iter().flatten()
    }
}
// ANCHOR_END: impl_Reactor

// ANCHOR: Unparker
/// Ends the sleep of a reactor, from any thread.
#[derive(Debug)]
pub struct Unparker {
    /// Whether the reactor's thread sleeps, or is about to.
    parked: AtomicBool,
    /// A byte in here makes row 0 ready.
    pipe: PipeWriter,
}

impl Unparker {
    /// Ends the sleep, if there is one. To be called after what the sleeper is to see was stored.
    pub fn unpark(&self) {
        if self.parked.swap(false, Ordering::SeqCst) {
            // A full pipe has enough bytes in it to end any sleep.
            let _ = (&self.pipe).write(&[1]);
        }
    }
}
// ANCHOR_END: Unparker

// ANCHOR: local
thread_local! {
    /// This thread's reactor, made when it is first needed.
    static REACTOR: RefCell<Option<Reactor>> = const { RefCell::new(None) };
}

/// Lends out this thread's reactor. Nothing of the user's may run meanwhile.
fn with_reactor<T>(f: impl FnOnce(&mut Reactor) -> io::Result<T>) -> io::Result<T> {
    REACTOR.with_borrow_mut(|reactor| match reactor {
        Some(reactor) => f(reactor),
        None => f(reactor.insert(from_environment()?)),
    })
}

/// `UNDER_AWAIT_REACTOR=select` asks for the other backend.
fn from_environment() -> io::Result<Reactor> {
    match env::var("UNDER_AWAIT_REACTOR").as_deref() {
        Ok("select") => Reactor::new(SelectTable::default()),
        Ok("poll") | Err(_) => Reactor::new(PollTable::default()),
        Ok(other) => {
            let text = format!("UNDER_AWAIT_REACTOR is `{other}`; it may be `poll` or `select`");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

/// Sleeps on this thread's reactor, at most for `timeout`, unless `awake` holds, and wakes whoever
/// waited for what is ready. Returns early when unparked, or when a signal comes.
///
/// # Errors
/// What the system call says.
pub fn wait(timeout: Option<Duration>, awake: impl Fn() -> bool) -> io::Result<()> {
    let wakers = with_reactor(|reactor| reactor.wait(timeout, awake))?;
    wakers.into_iter().for_each(Waker::wake);
    Ok(())
}

/// What ends the sleep of this thread's reactor.
///
/// # Errors
/// When there is no reactor yet, and it cannot be made.
pub fn unparker() -> io::Result<Arc<Unparker>> {
    with_reactor(|reactor| Ok(reactor.unparker.clone()))
}
// ANCHOR_END: local

// ANCHOR: Registration
/// A row of this thread's reactor, for as long as it lives.
///
/// It must go before its descriptor is closed, and it stays on its thread: so keep it beside the
/// socket, and in front of it.
#[derive(Debug)]
pub struct Registration {
    /// The row.
    row: usize,
    /// A row belongs to the reactor of one thread, so its registration is not `Send`.
    here: PhantomData<*const ()>,
}

impl Registration {
    /// A row for `io`.
    ///
    /// # Errors
    /// When this thread's reactor cannot be made, or cannot watch such a descriptor.
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        let fd = io.as_fd().as_raw_fd();
        with_reactor(|reactor| {
            let registration = Registration { row: reactor.add(fd), here: PhantomData };
            reactor.watch(registration.row)?;
            Ok(registration)
        })
    }

    /// Leaves the waker of `cx`, in place of the one before, to be woken once when the descriptor
    /// is ready in `direction`, or when it may be: whoever is woken tries again.
    ///
    /// # Errors
    /// What the backend says.
    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<()> {
        // Dropped after the reactor is free again.
        let mut waker = Some(cx.waker().clone());
        with_reactor(|reactor| {
            mem::swap(&mut reactor.rows[self.row].wakers[direction as usize], &mut waker);
            reactor.watch(self.row)
        })
    }
}

impl Registration {
    /// Whether a waker still stands there: nothing has been reported since `wait_for`.
    fn is_waiting(&self, direction: Direction) -> io::Result<bool> {
        with_reactor(|reactor| Ok(reactor.rows[self.row].wakers[direction as usize].is_some()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // What stood there is dropped after the reactor is free again. An error means that the
        // thread is ending, and its reactor has gone before us.
        let _row = REACTOR.try_with(|reactor| {
            reactor.borrow_mut().as_mut().map(|reactor| reactor.remove(self.row))
        });
    }
}
// ANCHOR_END: Registration

// ANCHOR: readable
/// Ready when `io` is ready in `direction`, or may be.
///
/// # Errors
/// When it cannot be watched.
pub async fn ready_to(direction: Direction, io: &impl AsFd) -> io::Result<()> {
    let registration = Registration::new(io)?;
    let mut waiting = false;
    poll_fn(|cx| {
        if waiting && !registration.is_waiting(direction)? {
            return Poll::Ready(Ok(()));
        }
        waiting = true;
        registration.wait_for(direction, cx)?;
        Poll::Pending
    })
    .await
}
// ANCHOR_END: readable

// ANCHOR: block_on
/// Runs `future` to completion on this thread, which sleeps in the kernel while it is pending.
///
/// # Panics
/// When this thread's reactor cannot be made, or the system refuses to wait.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let root = Root::new().expect("a reactor for this thread");
    let waker = Waker::from(root.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !root.take_wake() {
            wait(None, || root.is_woken()).expect("the system waits");
        }
    }
}
// ANCHOR_END: block_on

// ANCHOR: Root
/// The waker of the future that `block_on` runs.
#[derive(Debug)]
pub struct Root {
    /// Whether it was woken since its last poll began.
    woken: AtomicBool,
    /// Ends the thread's sleep.
    unparker: Arc<Unparker>,
}

impl Root {
    /// A waker that ends the sleep of this thread's reactor.
    ///
    /// # Errors
    /// When there is no reactor yet, and it cannot be made.
    pub fn new() -> io::Result<Arc<Self>> {
        let unparker = unparker()?;
        Ok(Arc::new(Root { woken: AtomicBool::new(false), unparker }))
    }

    /// Whether it was woken.
    pub fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    /// Whether it was woken; that wake is used up.
    pub fn take_wake(&self) -> bool {
        self.woken.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: what `unpark` promises holds for what was stored before it.
        self.woken.store(true, Ordering::SeqCst);
        self.unparker.unpark();
    }
}
// ANCHOR_END: Root
