//! # Layer 8 · a reactor on `poll(2)`
//!
//! **Before.** `ch07_select` counts to 1,023, makes new sets for each sleep and a call for each wake.
//!
//! **Idea.** A table in our own memory: to wait for a descriptor is to write into its row. When the
//! thread sleeps, the kernel reads the table, and says which rows are ready.
//!
//! **Invariants.**
//! 1. *Interest while somebody waits:* a row is watched while a waker stands there, and no longer.
//! 2. *The newest:* however often it is used, a registration has one row, and two wakers in it.
//! 3. *No stray wake:* a row is given away again only after its holder has let go of it.
//! 4. *Released, then woken:* no borrow of the reactor is alive while a waker runs.
//! 5. *A wake ends the sleep:* from any thread, and costs a system call only if there is a sleep.
//!
//! **Still wrong.** It knows descriptors, but not time: a future cannot say when it wants to go on.

use std::cell::RefCell;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, c_short, pollfd};

use crate::ch05_handoff::wake_all;
pub use crate::ch07_select::Direction;
use crate::ch07_select::{FdSet, select};
use crate::sys;

// ANCHOR: Backend
/// How the kernel is asked about the table.
pub trait Backend {
    /// A row of the table watches `fd` for `events` from now on, perhaps none; with an `fd` of -1 it
    /// is nobody's. A backend that cannot watch such a descriptor says so here.
    fn changed(&mut self, _row: usize, _fd: RawFd, _events: c_short) -> io::Result<()> {
        Ok(())
    }

    /// Sleeps until a row is ready, a signal comes (`Interrupted`), or `timeout` has passed; `None`
    /// is for ever. Sets `revents` in the rows that are ready, and returns their numbers.
    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>>;
}
// ANCHOR_END: Backend

/// By poll(2), which reads the table where it stands.
#[derive(Debug)]
pub struct ByPoll;

impl Backend for ByPoll {
    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        let timeout = sys::millis(timeout);
        if sys::spurious() {
            table.iter_mut().for_each(|row| row.revents = row.events);
        } else {
            sys::call("poll", || {
                // SAFETY: pointer and length are those of `table`, borrowed until `poll` returns.
                unsafe { libc::poll(table.as_mut_ptr(), table.len() as _, timeout) }
            })?;
        }
        Ok((0..table.len()).filter(|row| table[*row].revents != 0).collect())
    }
}

/// By select(2): the sets are made of the table anew for every wait.
#[derive(Debug)]
pub struct BySelect;

impl Backend for BySelect {
    fn changed(&mut self, _: usize, fd: RawFd, _: c_short) -> io::Result<()> {
        if fd == -1 { Ok(()) } else { FdSet::new().insert(fd) }
    }

    fn wait(&mut self, table: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        let mut sets = [FdSet::new(); 2];
        for (set, event) in sets.iter_mut().zip([POLLIN, POLLOUT]) {
            let mut wanted = table.iter().filter(|row| row.events & event != 0);
            wanted.try_for_each(|row| set.insert(row.fd))?;
        }
        let [reads, writes] = &mut sets;
        select(reads, writes, timeout)?;
        for row in table.iter_mut() {
            let ready = sets.iter().zip([POLLIN, POLLOUT]).filter(|(set, _)| set.contains(row.fd));
            row.revents = row.events & ready.map(|(_, event)| event).sum::<c_short>();
        }
        Ok((0..table.len()).filter(|row| table[*row].revents != 0).collect())
    }
}

/// Which futures of this thread wait for which descriptors.
struct Reactor {
    /// What the kernel is asked. Row 0 is the pipe. A row with descriptor -1 is passed over.
    table: Vec<pollfd>,
    /// The wakers at each row, one for each direction.
    wakers: Vec<[Option<Waker>; 2]>,
    /// The rows that nobody has.
    free: Vec<usize>,
    /// Asks the kernel.
    backend: Box<dyn Backend>,
    /// What other threads need to end the sleep.
    sleep: Arc<Sleep>,
}

/// The sleep of a thread in its reactor.
#[derive(Debug)]
struct Sleep {
    /// Whether the thread sleeps, or is about to. Set by it, cleared by it or a wake.
    parked: AtomicBool,
    /// The pipe of row 0: a byte in it ends the sleep.
    pipe: (PipeReader, PipeWriter),
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
    // An error means that the thread is ending, and that its reactor is gone already.
    REACTOR.try_with(lend).map_err(io::Error::other)?
}

/// What the environment says in `UNDER_AWAIT_REACTOR`.
fn backend() -> io::Result<Box<dyn Backend>> {
    let name = std::env::var_os("UNDER_AWAIT_REACTOR").unwrap_or("poll".into());
    match name.to_str() {
        Some("poll") => Ok(Box::new(ByPoll)),
        Some("select") => Ok(Box::new(BySelect)),
        _ => {
            let text = format!("UNDER_AWAIT_REACTOR is {name:?}: it can be \"poll\" or \"select\"");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

fn new_reactor() -> io::Result<Reactor> {
    let backend = backend()?;
    let sleep = Arc::new(Sleep { parked: false.into(), pipe: sys::pipe()? });
    let table = vec![pollfd { fd: sleep.pipe.0.as_raw_fd(), events: POLLIN, revents: 0 }];
    Ok(Reactor { table, wakers: vec![[None, None]], free: Vec::new(), backend, sleep })
}

/// Has this thread ask the kernel by `backend` from now on; returns the one before. Otherwise it asks
/// by poll, or by select if the environment says `UNDER_AWAIT_REACTOR=select`; it fails if that says
/// anything else. Fails, and leaves it at the one before, when `backend` cannot watch what is in the table.
pub fn ask_by(mut backend: Box<dyn Backend>) -> io::Result<Box<dyn Backend>> {
    with_reactor(|reactor| {
        let mut rows = reactor.table.iter().enumerate();
        rows.try_for_each(|(row, pollfd)| backend.changed(row, pollfd.fd, pollfd.events))?;
        Ok(std::mem::replace(&mut reactor.backend, backend))
    })
}

// ANCHOR: wait
/// Sleeps until something is ready, at most for `timeout`, and wakes the futures that wait for it.
/// Only looks if `awake` holds, which is asked while the reactor is lent out and must not use it.
/// Returns early after a wake of a [`Root`], or on a signal. Fails as poll(2) and select(2).
pub fn wait(timeout: Option<Duration>, awake: impl Fn() -> bool) -> io::Result<()> {
    let wakers: io::Result<Vec<Option<Waker>>> = with_reactor(|reactor| {
        // ANCHOR: todo_8_1 say that you are parked, look, ask, and fire the rows that are ready
        // A waker stores first, and then looks for a sleeper. Here it is the other way round, so
        // that one of the two sees the other. That needs one order of all four steps: `SeqCst`.
        reactor.sleep.parked.store(true, SeqCst);
        let timeout = if awake() { Some(Duration::ZERO) } else { timeout };
        let rows = sys::unless_interrupted(reactor.backend.wait(&mut reactor.table, timeout));
        reactor.sleep.parked.store(false, SeqCst);
        Ok(rows?.into_iter().flat_map(|row| reactor.fire(row)).collect())
        // ANCHOR_END: todo_8_1
    });
    wakers.map(|wakers| wake_all(wakers.into_iter().flatten()))
}
// ANCHOR_END: wait

impl Reactor {
    /// Has `row` watch `fd` for the wakers that stand there.
    fn watch(&mut self, row: usize, fd: RawFd) -> io::Result<()> {
        let [read, write] = self.wakers[row].each_ref().map(|waker| c_short::from(waker.is_some()));
        let events = (read * POLLIN) | (write * POLLOUT);
        self.backend.changed(row, fd, events)?;
        self.table[row] = pollfd { fd: if events == 0 { -1 } else { fd }, events, revents: 0 };
        Ok(())
    }
}

// ANCHOR: fire
impl Reactor {
    /// Takes the wakers at `row` that its report concerns.
    fn fire(&mut self, row: usize) -> [Option<Waker>; 2] {
        if row == 0 {
            sys::silence(&self.sleep.pipe.0);
            return [None, None];
        }
        // ANCHOR: todo_8_2 take the wakers that `revents` concerns, and watch for the others
        let pollfd { fd, revents, .. } = self.table[row];
        // Errors and hang-ups concern both: every waiter is to try, and the call will tell.
        let both = revents & (POLLERR | POLLHUP | POLLNVAL) != 0;
        let [read, write] = [POLLIN, POLLOUT].map(|event| both || revents & event != 0);
        let [reader, writer] = &mut self.wakers[row];
        let fired = [reader.take_if(|_| read), writer.take_if(|_| write)];
        self.watch(row, fd).map(|()| fired).expect("a row can be watched for less")
        // ANCHOR_END: todo_8_2
    }
}
// ANCHOR_END: fire

/// A row of this thread's reactor. It is to be dropped before its descriptor is closed.
#[derive(Debug)]
pub struct Registration {
    /// The descriptor.
    fd: RawFd,
    /// The row.
    row: usize,
    /// The row is in the table of one thread, so this is not `Send`.
    here: std::marker::PhantomData<*const ()>,
}

impl Registration {
    /// A row for `io`, at which nobody waits yet. Fails when the backend cannot watch `io`, as select(2)
    /// cannot from `FD_SETSIZE` on, or when this thread's reactor cannot be made.
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        let fd = io.as_fd().as_raw_fd();
        with_reactor(|reactor| {
            let row = reactor.free.last().copied().unwrap_or(reactor.table.len());
            reactor.backend.changed(row, fd, 0)?;
            if reactor.free.pop().is_none() {
                reactor.table.push(pollfd { fd: -1, events: 0, revents: 0 });
                reactor.wakers.push([None, None]);
            }
            Ok(Registration { fd, row, here: Default::default() })
        })
    }

    /// Leaves the waker of `cx`, in place of the one before, and says whether there was one. It is
    /// woken once, when the descriptor is ready in `direction` or may be: the woken future tries.
    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut waker = Some(cx.waker().clone());
        with_reactor(|reactor| {
            std::mem::swap(&mut reactor.wakers[self.row][direction as usize], &mut waker);
            reactor.watch(self.row, self.fd)
        })?;
        // The older one is dropped after the borrow, perhaps with a task and its registrations.
        Ok(waker.is_some())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // An error means that the thread is ending, and its reactor is gone already.
        let _wakers = with_reactor(|reactor| {
            reactor.free.push(self.row);
            let wakers = std::mem::take(&mut reactor.wakers[self.row]);
            reactor.watch(self.row, -1).map(|()| wakers)
        });
    }
}

/// Ready when `io` is ready in `direction`, or may be. Fails as [`Registration::new`]. Cancel safe.
pub async fn ready_to(direction: Direction, io: &impl AsFd) -> io::Result<()> {
    let registration = Registration::new(io)?;
    let mut waiting = false;
    std::future::poll_fn(|cx| {
        // A poll may have other reasons. But if our waker is gone, the reactor took it.
        let fired = !registration.wait_for(direction, cx)? && std::mem::replace(&mut waiting, true);
        if fired { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// Runs `future` to completion on this thread, which sleeps in the kernel while it is pending.
///
/// # Panics
/// When this thread's reactor cannot be made, or the system refuses to wait.
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
    /// A waker for this thread. Fails when its reactor cannot be made: that takes a pipe, and a backend
    /// that there is.
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
        if !self.woken.swap(true, SeqCst) && self.sleep.parked.swap(false, SeqCst) {
            sys::ring(&self.sleep.pipe.1);
        }
    }
}
// ANCHOR_END: Wake_for_Root
