// What chapter 12 asks beyond its layer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

use super::{MaybeDone, WokenList, join, maybe_done, try_join};

/// `join!` of two, as a function: this is what the checks call.
pub async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    join!(a, b)
}

/// `try_join!` of two, as a function: this is what the checks call.
pub async fn try_both<A, B, E>(
    a: impl Future<Output = Result<A, E>>,
    b: impl Future<Output = Result<B, E>>,
) -> Result<(A, B), E> {
    try_join!(a, b)
}

pin_project! {
    /// `join!` of three, as a struct: a future that has a name, and can be kept in another struct.
    #[must_use = "futures do nothing unless polled"]
    #[allow(missing_debug_implementations)] // Not every output can be shown.
    pub struct Join3<A: Future, B: Future, C: Future> {
        #[pin]
        a: MaybeDone<A>,
        #[pin]
        b: MaybeDone<B>,
        #[pin]
        c: MaybeDone<C>,
    }
}

/// See [`Join3`].
pub fn join3<A: Future, B: Future, C: Future>(a: A, b: B, c: C) -> Join3<A, B, C> {
    Join3 { a: maybe_done(a), b: maybe_done(b), c: maybe_done(c) }
}

impl<A: Future, B: Future, C: Future> Future for Join3<A, B, C> {
    type Output = (A::Output, B::Output, C::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // ANCHOR: todo_12_5 project, poll all three, and take the outputs when all are done
        let mut this = self.project();
        let mut all_done = this.a.as_mut().poll(cx).is_ready();
        all_done &= this.b.as_mut().poll(cx).is_ready();
        all_done &= this.c.as_mut().poll(cx).is_ready();
        if !all_done {
            return Poll::Pending;
        }
        let outputs = (this.a.take_output(), this.b.take_output(), this.c.take_output());
        let (Some(a), Some(b), Some(c)) = outputs else { unreachable!("all are done") };
        Poll::Ready((a, b, c))
        // ANCHOR_END: todo_12_5
    }
}

/// Futures of which the first to be done comes first, and to which more can be added: a small
/// `FuturesUnordered`.
#[derive(Debug)]
pub struct Unordered<F> {
    /// Each with its waker, at the place that is its number; `None` when it is done.
    running: Vec<Option<(Pin<Box<F>>, Waker)>>,
    /// How many are running.
    left: usize,
    /// What the wakers write to.
    list: Arc<WokenList>,
    /// The futures to be polled: the newcomers, and those that were on the list.
    woken: VecDeque<usize>,
}

impl<F: Future> Unordered<F> {
    /// Without futures.
    pub fn new() -> Self {
        let list = Arc::new(WokenList::default());
        Unordered { running: Vec::new(), left: 0, list, woken: VecDeque::new() }
    }

    /// One more future. It is polled for the first time when the next output is asked for.
    pub fn push(&mut self, future: F) {
        let number = self.running.len();
        self.running.push(Some((Box::pin(future), self.list.waker(number))));
        self.left += 1;
        self.woken.push_back(number);
    }

    /// The output of the future that is done next; `None` when none is left.
    pub async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for those who poll by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        // ANCHOR: todo_12_6 look at the list; poll those that are to be polled, until one is done
        self.list.look(cx.waker(), &mut self.woken);
        while let Some(number) = self.woken.pop_front() {
            let Some((future, waker)) = &mut self.running[number] else { continue };
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                self.running[number] = None;
                self.left -= 1;
                // Those that are still in `woken` are polled the next time.
                return Poll::Ready(Some(output));
            }
        }
        if self.left == 0 { Poll::Ready(None) } else { Poll::Pending }
        // ANCHOR_END: todo_12_6
    }
}

/// Futures that share something that is limited in each poll, and of which the one that comes first
/// takes all it can use. See [`join_fairly`].
#[allow(missing_debug_implementations)] // Not every output can be shown.
pub struct Fair<F: Future> {
    children: Vec<Pin<Box<MaybeDone<F>>>>,
    /// Whose turn it is to be the first.
    first: usize,
}

/// As `join_all_naive`, to be repaired: the last is to get its turn too.
pub fn join_fairly<F: Future>(futures: impl IntoIterator<Item = F>) -> Fair<F> {
    let children = futures.into_iter().map(|future| Box::pin(maybe_done(future)));
    Fair { children: children.collect(), first: 0 }
}

impl<F: Future> Fair<F> {
    /// Polls all of them, and says whether they are done.
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // ANCHOR: todo_12_7 as `poll_from_the_front`, but each time another one is the first
        let all = self.children.len();
        let mut all_done = true;
        for place in (self.first..all).chain(0..self.first) {
            all_done &= self.children[place].as_mut().poll(cx).is_ready();
        }
        self.first = (self.first + 1) % all.max(1);
        if all_done { Poll::Ready(()) } else { Poll::Pending }
        // ANCHOR_END: todo_12_7
    }

    /// The version to mend: the child at the front is always the first.
    pub fn poll_from_the_front(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut all_done = true;
        for child in &mut self.children {
            all_done &= child.as_mut().poll(cx).is_ready();
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<F: Future> Future for Fair<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_all(cx));
        let outputs = self.children.iter_mut().filter_map(|child| child.as_mut().take_output());
        Poll::Ready(outputs.collect())
    }
}
