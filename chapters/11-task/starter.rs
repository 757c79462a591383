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
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

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
use crate::support::schedules::model::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use under_await::budget::Budget;
use under_await::ch03_waker::waker_ref;
use under_await::ch05_handoff::wake_all;
use under_await::ch08_poll::Root;
use under_await::ch09_timer::wait;

/// Runs `future` to completion on this thread, and beside it the tasks that are spawned meanwhile.
/// While all are pending, the thread sleeps in the kernel. Tasks that are not over when `future` is
/// ready are dropped, in no particular order.
///
/// Panics when `future` does; inside a future that another `block_on` of this layer runs; and when
/// this thread's reactor cannot be made, or the system refuses to wait.
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

// One bit for "was woken" and one for "is being polled", so each transition is one instruction.
const IDLE: u8 = 0b00; //       waits               woken → QUEUED
const QUEUED: u8 = 0b01; //     has its place       its turn → RUNNING
const RUNNING: u8 = 0b10; //    is being polled     woken → RENOTIFIED, pending → IDLE
const RENOTIFIED: u8 = 0b11; // the same, and woken     pending → QUEUED
const DONE: u8 = 0b100; //      is over, whatever wakes add to it

impl Header {
    /// Has `poll` poll the future; queues the task again if it was woken meanwhile.
    fn poll<T>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let waker = waker_ref(self);
        let poll = || self.budget.grant(OPERATIONS, || poll(&mut Context::from_waker(&waker)));
        // Pairs with the `Release` in `wake_by_ref`. Wakes that come later find `RUNNING`: they may be
        // too late for this poll.
        todo!("11.1: be RUNNING, poll, then be DONE, or IDLE, or in the queue again")
    }
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Pairs with the `Acquire` in `poll`. It writes in every state, so the next poll sees what
        // was done before any of its wakes, and not only before the one that queued the task.
        todo!("11.2: say that it was woken; the wake that finds it IDLE queues it")
    }
}

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

thread_local! {
    /// What `block_on` runs on this thread, if it does.
    static RUNTIME: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// What runs on this thread. Nothing does when the thread is ending.
fn here() -> Option<Rc<Runtime>> {
    RUNTIME.try_with(|runtime| runtime.borrow().clone()).ok().flatten()
}

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

/// Polls `future`. A panic is a result too.
fn poll_caught<T>(future: &mut Boxed<T>, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
    todo!("11.3: poll; of a panic make a `JoinError` that has its payload")
}

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

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!("11.4: give out the result, once; while there is none, leave the newest waker")
    }
}

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

/// What the chapter does not show.
pub mod extend {
    // What chapter 11 asks beyond its layer.
    //
    // In your file the layer's atomics are those of `support/schedules.rs`. They do what std's do, and stop
    // at every step for a check that plays a task and two wakers in every order of their steps.
    // The checks play the layer in every order.

    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::stream::{Stream, StreamExt};

    pub use crew::Crew;

    #[allow(unsafe_code)] // The layer needs none; one allocation for all does.
    mod crew {
        use std::cell::UnsafeCell;
        use std::collections::VecDeque;
        use std::marker::PhantomData;
        use std::mem;
        use std::pin::Pin;
        use std::sync::atomic::{AtomicBool, Ordering};
        use std::sync::{Arc, Mutex};
        use std::task::{Context, Wake, Waker};

        /// Tasks of one allocation each: what the wakers share and the future stand side by side. They run on
        /// the thread that made the crew.
        #[derive(Default)]
        #[allow(missing_debug_implementations)] // Futures cannot be shown.
        pub struct Crew {
            line: Arc<Line>,
            /// All of them, for the end.
            all: Vec<Arc<dyn Work>>,
            here: PhantomData<*const ()>,
        }

        /// The tasks to be polled, first come, first served. Any thread may add to it.
        type Line = Mutex<VecDeque<Arc<dyn Work>>>;

        /// A task of a crew.
        struct Member<F> {
            line: Arc<Line>,
            /// Whether it stands in the line.
            queued: AtomicBool,
            /// `None` when it is over.
            ///
            /// # Invariant
            /// Only the crew's thread looks in here, in one call of `work` or `dismiss` at a time. The future
            /// stays where it is until it is dropped.
            future: UnsafeCell<Option<F>>,
        }

        // SAFETY: elsewhere than on the crew's thread nobody looks at `future` (its invariant); and it is
        // `None` by the time that another thread can be the last to let go of the member.
        unsafe impl<F> Send for Member<F> {}
        // SAFETY: as above.
        unsafe impl<F> Sync for Member<F> {}

        /// A member, whatever its future.
        trait Work: Send + Sync {
            /// Polls the future, and drops it when it is ready.
            ///
            /// # Safety
            /// On the crew's thread, and not inside another `work` of this member.
            unsafe fn work(self: Arc<Self>);

            /// Drops the future.
            ///
            /// # Safety
            /// As for `work`.
            unsafe fn dismiss(&self);
        }

        impl Crew {
            /// Adds a task. It is polled by the next `run`.
            pub fn spawn<F: Future<Output = ()> + 'static>(&mut self, future: F) {
                let (line, queued) = (self.line.clone(), AtomicBool::new(true));
                let member = Arc::new(Member { line, queued, future: UnsafeCell::new(Some(future)) });
                self.line.lock().unwrap().push_back(member.clone());
                self.all.push(member);
            }

            /// Polls the members in the line, until it is empty.
            pub fn run(&mut self) {
                while let Some(member) = { self.line.lock().unwrap().pop_front() } {
                    // SAFETY: this is the crew's thread, for a crew is not `Send`; and `self` is borrowed
                    // mutably, so there is no other `run`.
                    unsafe { member.work() };
                }
            }
        }

        impl Drop for Crew {
            fn drop(&mut self) {
                for member in mem::take(&mut self.all) {
                    // SAFETY: as in `run`.
                    unsafe { member.dismiss() };
                }
                // A member in the line owns the line, so the two would keep each other.
                let _line = mem::take(&mut *self.line.lock().unwrap());
            }
        }

        impl<F: Future<Output = ()> + 'static> Work for Member<F> {
            unsafe fn work(self: Arc<Self>) {
                // Before the poll: a wake from here on is for another one.
                self.queued.swap(false, Ordering::Acquire);
                let waker = Waker::from(self.clone());
                let cx = &mut Context::from_waker(&waker);
                todo!("11.5: poll the future where it stands; when it is ready, drop it there")
            }

            unsafe fn dismiss(&self) {
                // SAFETY: the caller keeps the invariant of `future`, which is dropped where it stands.
                unsafe { *self.future.get() = None };
            }
        }

        impl<F: Future<Output = ()> + 'static> Wake for Member<F> {
            fn wake(self: Arc<Self>) {
                if !self.queued.swap(true, Ordering::Release) {
                    let line = self.line.clone();
                    line.lock().unwrap().push_back(self);
                }
            }
        }
    }

    /// How many items in a row an [`Unhurried`] gives out.
    pub const BUDGET: u32 = 128;

    /// The items of `stream`. After [`BUDGET`] of them without a `Pending`, others have their turn first.
    pub fn unhurried<S: Stream + Unpin>(stream: S) -> Unhurried<S> {
        Unhurried { stream, left: BUDGET }
    }

    /// The stream of [`unhurried`].
    #[derive(Debug)]
    pub struct Unhurried<S> {
        stream: S,
        /// How many items it still gives out before it lets the others in.
        left: u32,
    }

    impl<S: Stream + Unpin> Stream for Unhurried<S> {
        type Item = S::Item;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
            todo!("11.6: an item costs 1; without any left, be pending once and start anew")
        }
    }

    /// Futures that run inside one task, and may bring in further ones.
    #[derive(Default)]
    #[allow(missing_debug_implementations)] // Futures cannot be shown.
    pub struct Nursery {
        children: RefCell<Vec<Child>>,
    }

    type Child = Pin<Box<dyn Future<Output = ()>>>;

    impl Nursery {
        /// Adds a future. `run` polls it.
        pub fn adopt(&self, future: impl Future<Output = ()> + 'static) {
            self.children.borrow_mut().push(Box::pin(future));
        }

        /// Ready when all are. Each poll polls all that are there, in the order in which they came, and
        /// those that come meanwhile too.
        pub async fn run(&self) {
            poll_fn(|cx| self.poll_children(cx)).await;
        }

        fn poll_children(&self, cx: &mut Context<'_>) -> Poll<()> {
            todo!("11.7: what `poll_borrowed` below is meant to do, without the panic")
        }

        /// The version to mend. A child that calls `adopt` panics: "already borrowed".
        fn poll_borrowed(&self, cx: &mut Context<'_>) -> Poll<()> {
            let mut children = self.children.borrow_mut();
            children.retain_mut(|child| child.as_mut().poll(cx).is_pending());
            if children.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        }
    }
}
