//! # Layer 12 · a future that polls others
//!
//! **Before.** One `.await` after the other takes the time of all of them together. Tasks run side by
//! side, and each must own what it uses, and is awaited by a handle of its own.
//!
//! **Idea.** A future may poll others: it passes each poll on, keeps the outputs of those that are
//! done, and is ready when all are. If they are many, each gets a waker of its own, and only those
//! that were woken are asked.
//!
//! **Invariants.**
//! 1. *All at once:* the first poll polls every future; none of them waits for another one.
//! 2. *Once:* a future that is done is dropped at once; its output stands where the future stood.
//! 3. *Only the woken:* `join_all` polls each future once, and once more when it was woken.
//! 4. *No lost wake:* a future that is woken, at any moment, by any thread, is polled after that.
//! 5. *Together:* when a join ends, by its last output, an error, a panic or a drop, all are gone.
//!
//! **Still wrong.** A join waits for the slowest. A wait for the first answer, or for one in time,
//! has to let go of the others; the next layer, the race, does.

use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

use crate::ch01_future::poll_fn;
use crate::ch03_waker::waker_fn;

/// Polls futures side by side, in the task that it stands in, until all are ready: a tuple of their
/// outputs, in the order of the futures. Every poll goes to all that are not done. It allocates nothing.
/// Not cancel safe: the outputs it has are dropped with it.
///
/// ```
/// # under_await::block_on(async {
/// assert_eq!(under_await::join!(async { "Rust" }, async { 4 }), ("Rust", 4));
/// # });
/// ```
#[doc(hidden)] // Shown by its other name.
#[macro_export]
// ANCHOR: join
macro_rules! __join {
    (@ $($branch:ident)+) => {
        ::std::future::poll_fn(|cx| {
            use ::std::{prelude::rust_2024::*, task::Poll};
            let mut all_done = true;
            $( all_done &= $branch.as_mut().poll(cx).is_ready(); )+
            if !all_done { return Poll::Pending }
            Poll::Ready(($( $branch.as_mut().take_output().expect("all are done"), )+))
        }).await
    };
    ($($future:expr),+ $(,)?) => { $crate::__branches!(__join [] $($future,)+) };
}
// ANCHOR_END: join

// ANCHOR: branches
/// Puts each future into a variable, pinned, and calls the macro `$join` with all of them. Each is
/// written `branch`, but what a macro names is another name in each of its expansions.
#[doc(hidden)]
#[macro_export]
macro_rules! __branches {
    ($join:ident [$($named:ident)*] $future:expr, $($rest:tt)*) => {{
        let branch = $crate::ch12_join::maybe_done($future);
        let mut branch = ::std::pin::pin!(branch);
        $crate::__branches!($join [$($named)* branch] $($rest)*)
    }};
    ($join:ident [$($named:ident)*]) => { $crate::$join!(@ $($named)*) };
}
// ANCHOR_END: branches

pin_project! {
    /// A future, and after it its output, in the same place.
    #[project = MaybeDoneState]
    #[project_replace = MaybeDoneOwned]
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    #[allow(missing_docs)] // The macro takes no docs on fields: see the comments beside them.
    pub enum MaybeDone<F: Future> {
        /// It is being polled. → `Done`
        Future { #[pin] future: F },
        /// It was dropped, and this is its output. → `Gone`
        Done { output: F::Output },
        /// The output was taken.
        Gone,
    }
}

/// Ready when `future` is, and as often as it is polled; the output stays until it is taken.
pub fn maybe_done<F: IntoFuture>(future: F) -> MaybeDone<F::IntoFuture> {
    MaybeDone::Future { future: future.into_future() }
}

// ANCHOR: Future_for_MaybeDone
/// # Panics
/// When polled after its output was taken.
impl<F: Future> Future for MaybeDone<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // ANCHOR: todo_12_1 poll the future; put its output in its place; do not poll it again
        match self.as_mut().project() {
            MaybeDoneState::Future { future } => {
                let output = ready!(future.poll(cx));
                self.set(MaybeDone::Done { output });
            }
            MaybeDoneState::Done { .. } => {}
            MaybeDoneState::Gone => panic!("`MaybeDone` polled after its output was taken"),
        }
        Poll::Ready(())
        // ANCHOR_END: todo_12_1
    }
}
// ANCHOR_END: Future_for_MaybeDone

impl<F: Future> MaybeDone<F> {
    /// Takes the output, if it is there.
    pub fn take_output(mut self: Pin<&mut Self>) -> Option<F::Output> {
        // Not `&*self`: a future may have borrowed from itself, and nobody else may look into it then.
        let MaybeDoneState::Done { .. } = self.as_mut().project() else { return None };
        match self.project_replace(MaybeDone::Gone) {
            MaybeDoneOwned::Done { output } => Some(output),
            _ => unreachable!("the output was there"),
        }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> MaybeDone<F> {
    /// Takes the output, if it is there and an error.
    pub fn take_error(mut self: Pin<&mut Self>) -> Option<E> {
        let MaybeDoneState::Done { output: Err(_) } = self.as_mut().project() else { return None };
        self.take_output()?.err()
    }
}

/// As [`join!`](join), for futures of a `Result` with the same error: `Ok` of a tuple, or the first
/// error as soon as there is one; the other futures are dropped then. Not cancel safe either.
#[doc(hidden)] // Shown by its other name.
#[macro_export]
// ANCHOR: try_join
macro_rules! __try_join {
    (@ $($branch:ident)+) => {
        ::std::future::poll_fn(|cx| {
            use ::std::{prelude::rust_2024::*, task::Poll};
            // ANCHOR: todo_12_2 poll them all; be ready at the first error, or when all are done
            let mut all_done = true;
            $( all_done &= $branch.as_mut().poll(cx).is_ready();
               if let Some(error) = $branch.as_mut().take_error() {
                   return Poll::Ready(Err(error));
               } )+
            if !all_done { return Poll::Pending }
            Poll::Ready(Ok(($( $branch.as_mut().take_output().expect("all are done")?, )+)))
            // ANCHOR_END: todo_12_2
        }).await
    };
    ($($future:expr),+ $(,)?) => { $crate::__branches!(__try_join [] $($future,)+) };
}
// ANCHOR_END: try_join

#[doc(inline)]
pub use {__join as join, __try_join as try_join};

/// `join!` for any number of futures. As there, every poll goes to all that are not done: if `n`
/// futures end one at a time, that makes `n * (n + 3) / 2` polls, where [`join_all`] makes `2 * n`.
// ANCHOR: join_all_naive
pub async fn join_all_naive<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let children = futures.into_iter().map(|future| Box::pin(maybe_done(future)));
    let mut children = children.collect::<Vec<_>>();
    poll_fn(|cx| {
        let mut all_done = true;
        for child in &mut children {
            all_done &= child.as_mut().poll(cx).is_ready();
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    children.iter_mut().filter_map(|child| child.as_mut().take_output()).collect()
}
// ANCHOR_END: join_all_naive

/// The numbers of the children that were woken, and whom to tell: what a future shares with the
/// wakers of the futures it polls, its children.
#[derive(Debug, Default)]
pub struct WokenList(Mutex<State>);

/// What is behind the lock: all of it, so that nothing is seen without the rest.
#[derive(Debug, Default)]
struct State {
    /// The children that were woken since the last look, in that order.
    woken: Vec<usize>,
    /// Whether a child stands there: once is enough, however often it is woken. It has places up to the
    /// highest number that was ever woken.
    is_woken: Vec<bool>,
    /// The waker of the last look, until it is told.
    parent: Option<Waker>,
}

// ANCHOR: wake
impl WokenList {
    /// Puts `child` on the list, and tells the parent, if nobody has since its last look.
    fn wake(&self, child: usize) {
        // ANCHOR: todo_12_3 lock; put the child on the list, once; take the parent; unlock; wake
        let mut state = self.0.lock().unwrap();
        if child >= state.is_woken.len() {
            state.is_woken.resize(child + 1, false);
        }
        if mem::replace(&mut state.is_woken[child], true) {
            return;
        }
        state.woken.push(child);
        let parent = state.parent.take();
        drop(state);
        parent.into_iter().for_each(Waker::wake);
        // ANCHOR_END: todo_12_3
    }
}
// ANCHOR_END: wake

// ANCHOR: look
impl WokenList {
    /// A waker that puts `child` on the list. It may be kept for ever: it does not keep the list.
    pub fn waker(self: &Arc<Self>, child: usize) -> Waker {
        let list = Arc::downgrade(self);
        waker_fn(move || list.upgrade().iter().for_each(|list| list.wake(child)))
    }

    /// Moves the list to the end of `woken`, and leaves `parent` as the one to be told next.
    pub fn look(&self, parent: &Waker, woken: &mut impl Extend<usize>) {
        let newest = parent.clone();
        let mut state = self.0.lock().unwrap();
        // It is dropped at the brace, when the lock is free.
        let _older = state.parent.replace(newest);
        let State { woken: list, is_woken, .. } = &mut *state;
        woken.extend(list.drain(..).inspect(|child| is_woken[*child] = false));
        drop(state);
    }
}
// ANCHOR_END: look

/// Polls any number of futures side by side until all are ready: their outputs, in the order of the
/// futures. Each is polled once, and once more when it was woken; that costs an allocation for each,
/// its waker. Not cancel safe: the outputs it has are dropped with it.
pub fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> JoinAll<F> {
    JoinAll::new(futures, |_| false)
}

/// As [`join_all`], for futures of a `Result`: `Ok` of their outputs, or the first error as soon as
/// there is one; the other futures are dropped then. Not cancel safe either.
pub fn try_join_all<T, E, F: Future<Output = Result<T, E>>>(
    futures: impl IntoIterator<Item = F>,
) -> JoinAll<F, Result<Vec<T>, E>> {
    JoinAll::new(futures, Result::is_err)
}

/// The future of [`join_all`] and [`try_join_all`]: it collects the outputs into a `T`.
///
/// # Panics
/// When polled after it was ready.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct JoinAll<F: Future, T = Vec<<F as Future>::Output>> {
    /// In the order in which they came: a child's place is its number.
    children: Pin<Box<[MaybeDone<F>]>>,
    /// The waker of each.
    wakers: Vec<Waker>,
    /// How many of them are not done.
    left: usize,
    /// What their wakers write to.
    list: Arc<WokenList>,
    /// The children to be polled: all of them at first, then those that were on the list.
    woken: Vec<usize>,
    /// Whether an output is the end of all; `None` when the end has come.
    is_end: Option<fn(&F::Output) -> bool>,
    /// What the outputs make in the end.
    outputs: PhantomData<fn() -> T>,
}

impl<F: Future, T> JoinAll<F, T> {
    fn new(futures: impl IntoIterator<Item = F>, is_end: fn(&F::Output) -> bool) -> Self {
        let children = Box::into_pin(futures.into_iter().map(maybe_done).collect::<Box<[_]>>());
        let (left, list) = (children.len(), Arc::new(WokenList::default()));
        let wakers = (0..left).map(|child| list.waker(child)).collect();
        let (woken, is_end, outputs) = ((0..left).collect(), Some(is_end), PhantomData);
        JoinAll { children, wakers, left, list, woken, is_end, outputs }
    }
}

// ANCHOR: element
/// The element of a pinned slice at `place`, pinned as well.
fn element<T>(slice: Pin<&mut [T]>, place: usize) -> Pin<&mut T> {
    // SAFETY: nobody moves what is in a pinned slice, so an element stays where it is until it is
    // dropped; and whoever gets it from here gets it pinned.
    unsafe { slice.map_unchecked_mut(|slice| &mut slice[place]) }
}
// ANCHOR_END: element

// ANCHOR: poll_woken
impl<F: Future, T> JoinAll<F, T> {
    /// Polls the children that were woken. Ready when all are done, or an output ends the join.
    fn poll_woken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_end = self.is_end.expect("`JoinAll` polled after it was ready");
        // ANCHOR: todo_12_4 look at the list; poll those on it that are not done; mind the end
        self.list.look(cx.waker(), &mut self.woken);
        for number in self.woken.drain(..) {
            let mut child = element(self.children.as_mut(), number);
            // A child that is done may have been woken once more.
            let MaybeDoneState::Future { .. } = child.as_mut().project() else { continue };
            let mut cx = Context::from_waker(&self.wakers[number]);
            self.left -= usize::from(child.as_mut().poll(&mut cx).is_ready());
            if matches!(child.project(), MaybeDoneState::Done { output } if is_end(output)) {
                return Poll::Ready(());
            }
        }
        if self.left == 0 { Poll::Ready(()) } else { Poll::Pending }
        // ANCHOR_END: todo_12_4
    }
}
// ANCHOR_END: poll_woken

impl<F: Future, T: FromIterator<F::Output>> Future for JoinAll<F, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        ready!(self.poll_woken(cx));
        self.is_end = None;
        let mut children = mem::replace(&mut self.children, Box::pin([]));
        let output = |number| element(children.as_mut(), number).take_output();
        Poll::Ready((0..self.wakers.len()).filter_map(output).collect())
    }
}
