//! # Layer 8 · a reactor on `poll(2)`
//!
//! **Before.** `ch07_select` counts to 1,023, and makes its sets anew for every sleep. It knows
//! descriptors by numbers, which the kernel gives away again. Each wake costs it a system call.
//!
//! **Idea.** A table in our own memory: to wait for a descriptor is to write into its row. When the
//! thread sleeps, the kernel reads the table, and says which rows are ready.
//!
//! **Invariants.**
//! 1. *Interest while somebody waits:* a row is watched while a waker stands there, and no longer.
//! 2. *The newest:* however often it is polled, a registration has two rows, each with one waker.
//! 3. *No stray wake:* a row is given away again only after whoever had it has let go of it.
//! 4. *Released, then woken:* no borrow of the reactor is alive while a waker runs.
//! 5. *A wake ends the sleep:* from any thread, and costs a system call only if there is a sleep.
//!
//! **Still wrong.** It knows descriptors, but not time: a future cannot say when it wants to go on.

use std::cell::RefCell;
use std::io::{self, PipeReader, PipeWriter};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub use crate::ch07_select::Direction;
use crate::ch07_select::{FdSet, select};
use crate::sys;
use libc::{POLLIN, POLLOUT, pollfd};

// ANCHOR: Backend
/// How the kernel is asked about the table. Even rows are for reading, odd rows for writing; a row
/// with descriptor -1 is not watched.
pub trait Backend {
    /// From now on a row is for `fd`, and is watched or not; with an `fd` of -1 it is for nothing.
    /// Whoever cannot watch such a descriptor says so here.
    fn changed(&mut self, _row: usize, _fd: RawFd, _watched: bool) -> io::Result<()> {
        Ok(())
    }

    /// Sleeps until a row is ready, a signal comes (`Interrupted`), or `timeout` has passed; `None`
    /// is for ever. Returns the rows that are ready.
    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>>;
}
// ANCHOR_END: Backend

/// By poll(2), which reads the table where it stands.
#[derive(Debug)]
pub struct ByPoll;

impl Backend for ByPoll {
    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        sys::call("poll", || {
            // SAFETY: pointer and length are those of `table`, borrowed until `poll` returns.
            unsafe { libc::poll(table.as_mut_ptr(), table.len() as _, sys::millis(timeout)) }
        })?;
        // Errors and hang-ups count: whoever waits is to try, and be told by the call.
        Ok((0..table.len()).filter(|row| table[*row].revents != 0).collect())
    }
}

/// By select(2): the sets are made of the table anew for every wait.
#[derive(Debug)]
pub struct BySelect;

impl Backend for BySelect {
    fn changed(&mut self, _: usize, fd: RawFd, _: bool) -> io::Result<()> {
        if fd == -1 { Ok(()) } else { FdSet::new().insert(fd) }
    }

    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        let mut sets = [FdSet::new(); 2];
        let mut watched = table.iter().enumerate().filter(|(_, entry)| entry.fd != -1);
        watched.try_for_each(|(row, entry)| sets[row % 2].insert(entry.fd))?;
        let [reads, writes] = &mut sets;
        select(reads, writes, timeout)?;
        Ok((0..table.len()).filter(|row| sets[row % 2].contains(table[*row].fd)).collect())
    }
}

/// Which futures of this thread wait for which descriptors.
struct Reactor {
    /// What the kernel is asked. Row 0 is the pipe.
    table: Vec<pollfd>,
    /// Who waits at each row.
    wakers: Vec<Option<Waker>>,
    /// The pairs of rows that nobody has, each by its first.
    free: Vec<usize>,
    /// Asks the kernel.
    backend: Box<dyn Backend>,
    /// Where the bytes from `sleep` arrive.
    pipe: PipeReader,
    /// What other threads need to end the sleep.
    sleep: Arc<Sleep>,
}

/// The sleep of a thread in its reactor.
#[derive(Debug)]
struct Sleep {
    /// Whether the thread sleeps, or is about to. Set by it, cleared by whoever comes first.
    parked: AtomicBool,
    /// A byte in here makes row 0 ready.
    pipe: PipeWriter,
}

/// A row for reading and one for writing, both not watched.
const ROWS: [pollfd; 2] =
    [pollfd { fd: -1, events: POLLIN, revents: 0 }, pollfd { fd: -1, events: POLLOUT, revents: 0 }];

// ANCHOR: impl_Reactor
impl Reactor {
    /// Puts `waker` into `row`, which watches `fd` while one stands there; returns the one before.
    fn put(&mut self, row: usize, fd: RawFd, waker: Option<Waker>) -> io::Result<Option<Waker>> {
        // ANCHOR: todo_8_1 tell the backend, change the row, and exchange the wakers
        self.backend.changed(row, fd, waker.is_some())?;
        self.table[row].fd = if waker.is_some() { fd } else { -1 };
        Ok(std::mem::replace(&mut self.wakers[row], waker))
        // ANCHOR_END: todo_8_1
    }

    /// Takes the waker out of `row`, which is ready.
    fn fire(&mut self, row: usize) -> Option<Waker> {
        if row == 0 {
            sys::silence(&self.pipe);
            return None;
        }
        self.put(row, self.table[row].fd, None).expect("a row can go unwatched")
    }
}
// ANCHOR_END: impl_Reactor

fn new_reactor() -> io::Result<Reactor> {
    let select = std::env::var_os("UNDER_AWAIT_REACTOR").is_some_and(|name| name == "select");
    let backend: Box<dyn Backend> = if select { Box::new(BySelect) } else { Box::new(ByPoll) };
    let (pipe, writer) = sys::pipe()?;
    let (fd, sleep) = (pipe.as_raw_fd(), Sleep { parked: false.into(), pipe: writer });
    let (table, wakers, free, sleep) = (ROWS.into(), vec![None, None], Vec::new(), sleep.into());
    let mut reactor = Reactor { table, wakers, free, backend, pipe, sleep };
    reactor.put(0, fd, Some(Waker::noop().clone())).map(|_| reactor)
}

thread_local! {
    /// This thread's reactor, made when it is first needed.
    static REACTOR: RefCell<Option<Reactor>> = const { RefCell::new(None) };
}

/// Lends out this thread's reactor. Nothing of the user's may run meanwhile.
fn with_reactor<T>(f: impl FnOnce(&mut Reactor) -> io::Result<T>) -> io::Result<T> {
    let lend = |reactor: &RefCell<Option<Reactor>>| match &mut *reactor.borrow_mut() {
        Some(reactor) => f(reactor),
        none => f(none.insert(new_reactor()?)),
    };
    REACTOR.try_with(lend).unwrap_or_else(|ended| Err(io::Error::other(ended)))
}

/// Has this thread ask the kernel by `backend` from now on. Otherwise it asks by poll, or by select
/// if the environment says `UNDER_AWAIT_REACTOR=select`.
pub fn ask_by(mut backend: impl Backend + 'static) -> io::Result<()> {
    with_reactor(|reactor| {
        let mut watched = reactor.table.iter().enumerate().filter(|(_, entry)| entry.fd != -1);
        watched.try_for_each(|(row, entry)| backend.changed(row, entry.fd, true))?;
        reactor.backend = Box::new(backend);
        Ok(())
    })
}

// ANCHOR: wait
/// Sleeps until something is ready, at most for `timeout`, and wakes whoever waits for it. Only looks
/// if `awake` holds. Returns early after a wake of a [`Root`], or when a signal comes.
pub fn wait(timeout: Option<Duration>, awake: impl Fn() -> bool) -> io::Result<()> {
    let wakers = with_reactor(|reactor| {
        // ANCHOR: todo_8_2 say that you are parked, look, ask, take the wakers of the ready rows
        // Whoever wakes stores first and looks for a sleeper then. Here it is the other way round, so
        // that one of the two sees the other. That needs one order of all four steps: `SeqCst`.
        reactor.sleep.parked.store(true, SeqCst);
        let timeout = if awake() { Some(Duration::ZERO) } else { timeout };
        let rows = sys::unless_interrupted(reactor.backend.wait(&mut reactor.table, timeout));
        reactor.sleep.parked.store(false, SeqCst);
        Ok(rows?.into_iter().filter_map(|row| reactor.fire(row)).collect::<Vec<_>>())
        // ANCHOR_END: todo_8_2
    });
    wakers.map(|wakers| wakers.into_iter().for_each(Waker::wake))
}
// ANCHOR_END: wait

/// Two rows of this thread's reactor. It is to be dropped before its descriptor is closed.
#[derive(Debug)]
pub struct Registration {
    /// The descriptor.
    fd: RawFd,
    /// The first of its rows.
    first: usize,
    /// The rows are in the table of one thread, so this is not `Send`.
    here: PhantomData<*const ()>,
}

impl Registration {
    /// Rows for `io`, at which nobody waits yet.
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        let fd = io.as_fd().as_raw_fd();
        with_reactor(|reactor| {
            let first = reactor.free.last().copied().unwrap_or(reactor.table.len());
            reactor.backend.changed(first, fd, false)?;
            if reactor.free.pop().is_none() {
                reactor.table.extend(ROWS);
                reactor.wakers.extend([None, None]);
            }
            Ok(Registration { fd, first, here: PhantomData })
        })
    }

    /// Leaves the waker of `cx`, in place of the one before, and says whether there was one. It is
    /// woken once, when the descriptor is ready in `direction` or may be: whoever is woken tries.
    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<bool> {
        let (row, waker) = (self.first + direction as usize, cx.waker().clone());
        let before = with_reactor(|reactor| reactor.put(row, self.fd, Some(waker)))?;
        // It is dropped here, after the borrow: a task may go with it, and registrations with that.
        Ok(before.is_some())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // An error means that the thread is ending, and its reactor has gone before us.
        let _wakers = with_reactor(|reactor| {
            reactor.free.push(self.first);
            Ok([self.first, self.first + 1].map(|row| reactor.put(row, -1, None)))
        });
    }
}

/// Ready when `io` is ready in `direction`, or may be.
pub async fn ready_to(direction: Direction, io: &impl AsFd) -> io::Result<()> {
    let registration = Registration::new(io)?;
    let mut waiting = false;
    std::future::poll_fn(|cx| {
        // A poll may have other reasons. But if our waker has gone, it was the reactor that took it.
        let fired = !registration.wait_for(direction, cx)? && std::mem::replace(&mut waiting, true);
        if fired { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// Runs `future` to completion on this thread, which sleeps in the kernel while it is pending.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future.into_future());
    let root = Root::new().expect("this thread has a reactor");
    let waker = Waker::from(root.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        // At least once: a future that wakes itself must not keep the others from the kernel.
        while {
            wait(None, || root.is_woken()).expect("the system waits");
            !root.take_wake()
        } {}
    }
}

/// The waker of the future that `block_on` runs.
#[derive(Debug)]
pub struct Root {
    /// Set by a wake, cleared by `take_wake`.
    woken: AtomicBool,
    /// The sleep of its thread.
    sleep: Arc<Sleep>,
}

impl Root {
    /// A waker for this thread.
    pub fn new() -> io::Result<Arc<Self>> {
        let sleep = with_reactor(|reactor| Ok(reactor.sleep.clone()))?;
        Ok(Arc::new(Root { woken: false.into(), sleep }))
    }

    /// Whether it was woken.
    pub fn is_woken(&self) -> bool {
        self.woken.load(SeqCst)
    }

    /// Whether it was woken; uses that wake up.
    pub fn take_wake(&self) -> bool {
        self.woken.swap(false, SeqCst)
    }
}

// ANCHOR: Wake_for_Root
impl Wake for Root {
    fn wake(self: Arc<Self>) {
        // ANCHOR: todo_8_3 if this wake is the first and the thread is parked, ring the pipe
        if !self.woken.swap(true, SeqCst) && self.sleep.parked.swap(false, SeqCst) {
            sys::ring(&self.sleep.pipe);
        }
        // ANCHOR_END: todo_8_3
    }
}
// ANCHOR_END: Wake_for_Root
