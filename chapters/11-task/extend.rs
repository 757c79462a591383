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
            // ANCHOR: todo_11_5 poll the future where it stands; when it is ready, drop it there
            // SAFETY: the caller keeps the invariant of `future`.
            let slot = unsafe { &mut *self.future.get() };
            // SAFETY: the member is in an `Arc` and never moves, and nothing takes the future out.
            let mut slot = unsafe { Pin::new_unchecked(slot) };
            let Some(future) = slot.as_mut().as_pin_mut() else { return };
            if future.poll(cx).is_ready() {
                slot.set(None);
            }
            // ANCHOR_END: todo_11_5
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
        // ANCHOR: todo_11_6 an item costs 1; without any left, be pending once and start anew
        if self.left == 0 {
            self.left = BUDGET;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.stream.poll_next_unpin(cx);
        self.left = if polled.is_ready() { self.left - 1 } else { BUDGET };
        polled
        // ANCHOR_END: todo_11_6
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
        // ANCHOR: todo_11_7 what `poll_borrowed` below is meant to do, without the panic
        let mut waiting = Vec::new();
        loop {
            let children = self.children.take();
            if children.is_empty() {
                break;
            }
            for mut child in children {
                if child.as_mut().poll(cx).is_pending() {
                    waiting.push(child);
                }
            }
        }
        let is_over = waiting.is_empty();
        self.children.replace(waiting);
        if is_over { Poll::Ready(()) } else { Poll::Pending }
        // ANCHOR_END: todo_11_7
    }

    /// The version to mend. A child that calls `adopt` panics: "already borrowed".
    fn poll_borrowed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut children = self.children.borrow_mut();
        children.retain_mut(|child| child.as_mut().poll(cx).is_pending());
        if children.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}
