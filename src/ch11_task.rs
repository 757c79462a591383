//! # Layer 11 · tasks
//!
//! **Before.** `ch10_net` serves one client: `block_on` runs one future, and the second client
//! waits until the first has left.
//!
//! **Idea.** A task is a future, a byte that holds its state, and at most one place in a queue. To
//! wake it is to put it there; `block_on` polls the first in the queue.
//!
//! **Invariants.**
//! 1. *Once:* however often it is woken, a task stands in the queue once; after its end, never.
//! 2. *No lost wake:* a wake at any moment after a poll began leads to another poll.
//! 3. *In turn:* of the tasks woken on this thread, the first is polled first; one poll makes 128
//!    operations at most; and the kernel is asked every 61 polls.
//! 4. *Here:* a future is polled and dropped on the thread that spawned it, and is gone when its
//!    `block_on` returns.
//! 5. *One panics alone:* a panic in a poll goes to the handle of the task, and the others go on.
//!
//! **Still wrong.** Two futures that are only awaited together become two tasks: allocated,
//! `'static`, each with a handle. The next layer, `ch12_join`, runs both inside one.

#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::budget::Budget;
use crate::ch03_waker::waker_ref;
use crate::ch05_handoff::wake_all;
use crate::ch08_poll::Root;
use crate::ch09_timer::wait;

/// Runs `future` to completion on this thread, and beside it the tasks that are spawned meanwhile.
/// While all are pending, the thread sleeps in the kernel. Tasks that are not over when `future` is
/// ready are dropped, in no particular order.
///
/// Panics when `future` does; inside a future that another `block_on` of this layer runs; and when
/// this thread's reactor cannot be made, or the system refuses to wait.
// ANCHOR: block_on
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let Entered(runtime) = &Runtime::enter();
    let mut future = pin!(future.into_future());
    let root = runtime.header(ROOT);
    loop {
        for _ in 0..LOOK_EVERY {
            let Some(number) = runtime.queue.borrow_mut().pop_front() else { break };
            if number != ROOT {
                runtime.run(number);
            } else if let Poll::Ready(output) = root.poll(|cx| future.as_mut().poll(cx)) {
                return output;
            }
        }
        runtime.wait();
    }
}
// ANCHOR_END: block_on

/// Starts a task that runs `future` beside the others of this thread. It is polled for the first
/// time when its turn comes, whether or not anybody awaits the handle. Panics outside a future that
/// [`block_on`] runs.
///
/// ```
/// let sum = under_await::block_on(async { under_await::spawn(async { 1 + 2 }).await });
/// assert_eq!(sum.unwrap(), 3);
/// ```
pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let runtime = here().expect("`spawn` outside a runtime: call it in what `block_on` runs");
    let number = runtime.place();
    let header = runtime.header(number);
    let future = Cell::new(Some(Box::pin(future) as Boxed<F::Output>));
    let (result, awaiting) = Default::default();
    let task = Rc::new(Task { header, future, result, awaiting });
    runtime.tasks.borrow_mut()[number as usize] = Some(task.clone());
    JoinHandle { task }
}

/// The tasks of one `block_on`.
struct Runtime {
    /// Each task at its number; `None` where there is none.
    tasks: RefCell<Vec<Option<Rc<dyn Run>>>>,
    /// The numbers that have no task.
    free: RefCell<Vec<u32>>,
    /// The tasks to be polled, first come, first served.
    queue: RefCell<VecDeque<u32>>,
    /// The part that other threads reach.
    remote: Arc<Remote>,
}

/// What other threads know of it.
struct Remote {
    /// The tasks they have woken.
    woken: Mutex<Vec<u32>>,
    /// Ends the sleep of the thread.
    sleeper: Arc<Root>,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// A task; its handle has a share of it.
struct Task<T> {
    /// The part that its wakers share.
    header: Arc<Header>,
    /// Away while it is polled, and for good when it is over.
    future: Cell<Option<Boxed<T>>>,
    /// What came of it, until the handle takes it.
    result: Cell<Option<Result<T, JoinError>>>,
    /// What waits for that.
    awaiting: Cell<Option<Waker>>,
}

/// What a waker knows of its task. All else stays on the thread.
struct Header {
    /// `IDLE`, `QUEUED`, `RUNNING`, `RENOTIFIED` or `DONE`.
    state: AtomicU8,
    /// Whether it is to end when its turn comes.
    aborted: AtomicBool,
    /// Its number, or `ROOT`.
    number: u32,
    /// Which of its leaves its next poll passes over.
    budget: Budget,
    /// The way to its runtime, from any thread.
    remote: Arc<Remote>,
}

/// Stands for the future that `block_on` was given. It is no task: it stays on the stack.
const ROOT: u32 = u32::MAX;

/// How many polls there are between two looks at the kernel. tokio has the same number.
const LOOK_EVERY: u32 = 61;

/// How many operations one poll may make that need not wait. tokio has the same number.
const OPERATIONS: u16 = 128;

// ANCHOR: states
// One bit for "was woken" and one for "is being polled", so each transition is one instruction.
const IDLE: u8 = 0b00; //       waits               woken → QUEUED
const QUEUED: u8 = 0b01; //     has its place       its turn → RUNNING
const RUNNING: u8 = 0b10; //    is being polled     woken → RENOTIFIED, pending → IDLE
const RENOTIFIED: u8 = 0b11; // the same, and woken     pending → QUEUED
const DONE: u8 = 0b100; //      is over, whatever wakes add to it
// ANCHOR_END: states

// ANCHOR: poll
impl Header {
    /// Has `poll` poll the future; queues the task again if it was woken meanwhile.
    fn poll<T>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let waker = waker_ref(self);
        let poll = || self.budget.grant(OPERATIONS, || poll(&mut Context::from_waker(&waker)));
        // Pairs with the `Release` in `wake_by_ref`. Wakes that come later find `RUNNING`: they may be
        // too late for this poll.
        // ANCHOR: todo_11_1 be RUNNING, poll, then be DONE, or IDLE, or in the queue again
        self.state.swap(RUNNING, Ordering::Acquire);
        let polled = poll();
        if polled.is_ready() {
            self.state.store(DONE, Ordering::Relaxed);
        } else if self.state.fetch_and(!RUNNING, Ordering::Relaxed) == RENOTIFIED {
            self.queue();
        }
        polled
        // ANCHOR_END: todo_11_1
    }
}
// ANCHOR_END: poll

// ANCHOR: Wake_for_Header
impl Wake for Header {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Pairs with the `Acquire` in `poll`. It writes in every state, so the next poll sees what
        // was done before any of its wakes, and not only before the one that queued the task.
        // ANCHOR: todo_11_2 say that it was woken; the wake that finds it IDLE queues it
        if self.state.fetch_or(QUEUED, Ordering::Release) == IDLE {
            self.queue();
        }
        // ANCHOR_END: todo_11_2
    }
}
// ANCHOR_END: Wake_for_Header

// ANCHOR: queue
impl Header {
    /// Gives the task its place: at once on its own thread, from others by way of `remote`.
    fn queue(self: &Arc<Self>) {
        let own = here().filter(|runtime| Arc::ptr_eq(&runtime.remote, &self.remote));
        if let Some(runtime) = own {
            return runtime.queue.borrow_mut().push_back(self.number);
        }
        self.remote.woken.lock().unwrap().push(self.number);
        // Not before: the thread that this wakes looks there.
        self.remote.sleeper.wake_by_ref();
    }
}
// ANCHOR_END: queue

thread_local! {
    /// What `block_on` runs on this thread, if it does.
    static RUNTIME: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// What runs on this thread. Nothing does when the thread is ending.
fn here() -> Option<Rc<Runtime>> {
    RUNTIME.try_with(|runtime| runtime.borrow().clone()).ok().flatten()
}

// ANCHOR: run
impl Runtime {
    /// Polls a task. Nothing is borrowed meanwhile: it may spawn, wake and abort.
    fn run(&self, number: u32) {
        let task = self.tasks.borrow()[number as usize].clone().expect("a queued task is not over");
        if task.run(None) {
            self.tasks.borrow_mut()[number as usize] = None;
            self.free.borrow_mut().push(number);
            contained(|| drop(task));
        }
    }
}
// ANCHOR_END: run

// ANCHOR: wait
impl Runtime {
    /// Has the kernel say what is ready, and sleeps until something is if nobody is in the queue.
    fn wait(&self) {
        let sleeper = &self.remote.sleeper;
        let awake = || sleeper.is_woken() || !self.queue.borrow().is_empty();
        wait(awake).expect("the system waits");
        if sleeper.take_wake() {
            let woken = mem::take(&mut *self.remote.woken.lock().unwrap());
            self.queue.borrow_mut().extend(woken);
        }
    }
}
// ANCHOR_END: wait

impl Runtime {
    /// A number that has no task.
    fn place(&self) -> u32 {
        self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.tasks.borrow_mut().push(None);
            self.tasks.borrow().len() as u32 - 1
        })
    }

    /// The header of a task that nobody has polled yet. It is in the queue.
    fn header(&self, number: u32) -> Arc<Header> {
        let (state, aborted, remote) = (QUEUED.into(), false.into(), self.remote.clone());
        self.queue.borrow_mut().push_back(number);
        Arc::new(Header { state, aborted, number, budget: Budget::default(), remote })
    }

    /// Makes a runtime this thread's.
    fn enter() -> Entered {
        assert!(here().is_none(), "`block_on` inside `block_on`: use `.await`, or another thread");
        let sleeper = Root::new().expect("a reactor for this thread");
        let remote = Arc::new(Remote { woken: Mutex::default(), sleeper });
        let (tasks, free, queue) = Default::default();
        let runtime = Rc::new(Runtime { tasks, free, queue, remote });
        RUNTIME.set(Some(runtime.clone()));
        Entered(runtime)
    }
}

/// While it lasts, tasks can be spawned.
struct Entered(Rc<Runtime>);

// ANCHOR: Drop_for_Entered
impl Drop for Entered {
    fn drop(&mut self) {
        self.0.free.take();
        // From the end, because there stands what a task spawns as it goes.
        while let Some(task) = { self.0.tasks.borrow_mut().pop() } {
            contained(|| task.is_some_and(|task| task.run(Some(Cause::Ended))));
        }
        RUNTIME.take();
    }
}
// ANCHOR_END: Drop_for_Entered

/// What `f` returns, or nothing if it panics. That has been reported by the time it gets here.
fn contained<T>(f: impl FnOnce() -> T) -> Option<T> {
    // A payload that panics when it is dropped stays where it is.
    let drop = |panic| catch_unwind(AssertUnwindSafe(|| drop(panic))).map_err(mem::forget);
    catch_unwind(AssertUnwindSafe(f)).map_err(drop).ok()
}

/// A task, whatever its output.
trait Run {
    /// Polls it, or ends it, if it is aborted or there is another cause. Says whether it is over.
    fn run(&self, end: Option<Cause>) -> bool;
}

// ANCHOR: Run_for_Task
impl<T> Run for Task<T> {
    fn run(&self, end: Option<Cause>) -> bool {
        let mut future = self.future.take();
        let polled = self.header.poll(|cx| self.poll_or_end(&mut future, end, cx));
        self.future.set(future);
        let Poll::Ready(result) = polled else { return false };
        self.result.set(Some(result));
        wake_all(self.awaiting.take());
        true
    }
}
// ANCHOR_END: Run_for_Task

// ANCHOR: poll_or_end
impl<T> Task<T> {
    /// Polls `future`, or ends it. One that is over is dropped before anybody hears of the end.
    fn poll_or_end(
        &self,
        future: &mut Option<Boxed<T>>,
        end: Option<Cause>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, JoinError>> {
        let running = future.as_mut().expect("a queued task is neither polled nor over");
        let aborted = self.header.aborted.load(Ordering::Relaxed).then_some(Cause::Aborted);
        let polled = match end.or(aborted) {
            Some(cause) => Poll::Ready(Err(JoinError { cause })),
            None => poll_caught(running, cx),
        };
        if polled.is_ready() {
            contained(|| drop(future.take()));
        }
        polled
    }
}
// ANCHOR_END: poll_or_end

// ANCHOR: poll_caught
/// Polls `future`. A panic is a result too.
fn poll_caught<T>(future: &mut Boxed<T>, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
    // ANCHOR: todo_11_3 poll; of a panic make a `JoinError` that has its payload
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(JoinError::panicked(payload))),
    }
    // ANCHOR_END: todo_11_3
}
// ANCHOR_END: poll_caught

/// Awaits a task: a future of its output. Dropped, it leaves the task to itself.
///
/// Cancel safe: awaited by reference, it may be awaited again. It stays on its thread. Panics when
/// it is polled after it was ready.
pub struct JoinHandle<T> {
    /// The task, which lives on when this is dropped.
    task: Rc<Task<T>>,
}

impl<T> JoinHandle<T> {
    /// Has the task dropped when its turn comes. One that is over by then stays as it is.
    pub fn abort(&self) {
        self.task.header.aborted.store(true, Ordering::Relaxed);
        self.task.header.wake_by_ref();
    }

    /// Whether the task is over, in whatever way.
    pub fn is_finished(&self) -> bool {
        self.task.header.state.load(Ordering::Relaxed) >= DONE
    }
}

// ANCHOR: Future_for_JoinHandle
impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // ANCHOR: todo_11_4 give out the result, once; while there is none, leave the newest waker
        if let Some(result) = self.task.result.take() {
            return Poll::Ready(result);
        }
        assert!(!self.is_finished(), "`JoinHandle` polled after it was ready");
        let _older = self.task.awaiting.replace(Some(cx.waker().clone()));
        Poll::Pending
        // ANCHOR_END: todo_11_4
    }
}
// ANCHOR_END: Future_for_JoinHandle

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // Nobody waits any more.
        self.task.awaiting.take();
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_finished", &self.is_finished()).finish()
    }
}

/// Why a task has no output: it panicked, or it was cancelled.
#[derive(Debug)]
pub struct JoinError {
    /// Why it ended early.
    cause: Cause,
}

/// What ended a task early.
#[derive(Debug)]
enum Cause {
    /// `abort` was called.
    Aborted,
    /// Its `block_on` returned.
    Ended,
    /// It panicked, with this. The lock makes it `Sync`, the outer box makes it small.
    Panicked(Box<Mutex<Box<dyn Any + Send>>>),
}

impl JoinError {
    fn panicked(payload: Box<dyn Any + Send>) -> Self {
        JoinError { cause: Cause::Panicked(Box::new(payload.into())) }
    }

    /// Whether the task was aborted, or its `block_on` returned before it was over.
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// What the task panicked with, for [`std::panic::resume_unwind`]. Panics if it did not.
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        let Cause::Panicked(payload) = self.cause else { panic!("no panic: {self}") };
        payload.into_inner().expect("nobody panics while it is locked")
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cause {
            Cause::Aborted => "the task was aborted",
            Cause::Ended => {
                "the task was cancelled: its `block_on` returned; await its handle there"
            }
            Cause::Panicked(_) => "the task panicked",
        })
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}
