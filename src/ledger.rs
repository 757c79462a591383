//! # The ledger · what happened, in the order it happened
//!
//! A runtime at work shows nothing: polls, wakes and sleeps leave no mark. While a ledger is open,
//! each of them becomes a line in it: when, on which thread, who, what. The traces in the book,
//! the diagnosis of a hanging exercise and the counts in the tests are all read from ledgers.
//!
//! Off by default: [`record`] then looks at one thread-local and returns.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

thread_local! {
    static OPEN: RefCell<Option<Ledger>> = const { RefCell::new(None) };
}

/// Writes a line into this thread's open ledger; without one, does nothing.
pub fn record(who: &'static str, event: Event) {
    // An error means that the thread is ending: its last wakers may go after its ledger.
    let _ = OPEN.try_with(|open| {
        if let Some(ledger) = &*open.borrow() {
            ledger.record(who, event);
        }
    });
}

/// Watches `future`: its polls, its answers and the wakes of its waker go into the ledger that is
/// open on the polling thread, under the name `who`. Without one, the future is merely polled.
pub fn watch<F: Future>(who: &'static str, future: F) -> Watch<F> {
    Watch { who, waker: None, future }
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A future is polled.
    Poll,
    /// The poll answers `Pending`.
    Pending,
    /// The poll answers `Ready`.
    Ready,
    /// A waker is cloned.
    Clone,
    /// A waker is woken, by value or by reference.
    Wake,
    /// A waker is dropped.
    Drop,
    /// A thread goes to sleep.
    Park,
    /// A thread goes on after its sleep.
    Unpark,
    /// A system call is made.
    Call(&'static str),
    /// Anything else worth a line.
    Note(&'static str),
}

/// One line of a ledger.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The time since the ledger was opened.
    pub at: Duration,
    /// The thread it happened on: 0 for the first one seen in this ledger, 1 for the next.
    pub thread: usize,
    /// Who did it, or to whom it was done.
    pub who: &'static str,
    /// What happened.
    pub event: Event,
}

/// A handle to a ledger; clones write into the same one.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Shared by all handles, on whichever threads they are.
    pages: Arc<Mutex<Pages>>,
}

/// What a ledger holds.
#[derive(Debug)]
struct Pages {
    /// The moment that counts as zero.
    start: Instant,
    /// The threads seen so far, in order of appearance.
    threads: Vec<ThreadId>,
    /// The first `Ledger::LINES` lines, in order. A future that is polled in a loop would fill the
    /// memory otherwise.
    entries: Vec<Entry>,
    /// How often each thing happened, beyond `Ledger::LINES` as well.
    counts: BTreeMap<(&'static str, Event), u64>,
    /// When the latest line came, whether or not it was kept.
    latest: Duration,
}

impl Ledger {
    /// How many lines a ledger keeps. It goes on counting after that.
    pub const LINES: usize = 4096;

    /// Opens a new ledger on this thread, in place of the one that was open there.
    pub fn open() -> Self {
        let pages = Pages {
            start: Instant::now(),
            threads: Vec::new(),
            entries: Vec::new(),
            counts: BTreeMap::new(),
            latest: Duration::ZERO,
        };
        let ledger = Ledger { pages: Arc::new(Mutex::new(pages)) };
        ledger.attach();
        ledger
    }

    /// The ledger that is open on this thread.
    pub fn current() -> Option<Self> {
        // Nothing is open when the thread is ending, and its thread-locals are gone.
        OPEN.try_with(|open| open.borrow().clone()).ok().flatten()
    }

    /// Opens this ledger on the current thread too.
    pub fn attach(&self) {
        OPEN.set(Some(self.clone()));
    }

    /// Closes whatever ledger is open on the current thread.
    pub fn close() {
        OPEN.set(None);
    }

    /// Writes a line, whichever ledger is open on this thread.
    pub fn record(&self, who: &'static str, event: Event) {
        self.pages.lock().unwrap().record(who, event);
    }

    /// The lines so far, the first [`LINES`](Self::LINES) at most.
    pub fn entries(&self) -> Vec<Entry> {
        self.pages.lock().unwrap().entries.clone()
    }

    /// How many lines were written, those that were not kept included.
    pub fn lines(&self) -> u64 {
        self.pages.lock().unwrap().counts.values().sum()
    }

    /// How often `event` happened, whoever did it.
    pub fn count(&self, event: Event) -> u64 {
        let pages = self.pages.lock().unwrap();
        pages.counts.iter().filter(|((_, what), _)| *what == event).map(|(_, count)| count).sum()
    }

    /// How long nothing has been written.
    pub fn quiet(&self) -> Duration {
        let pages = self.pages.lock().unwrap();
        pages.start.elapsed().saturating_sub(pages.latest)
    }
}

impl Pages {
    fn record(&mut self, who: &'static str, event: Event) {
        self.latest = self.start.elapsed();
        *self.counts.entry((who, event)).or_default() += 1;
        if self.entries.len() < Ledger::LINES {
            let thread = self.thread(thread::current().id());
            self.entries.push(Entry { at: self.latest, thread, who, event });
        }
    }

    /// The number of `thread` in this ledger.
    fn thread(&mut self, thread: ThreadId) -> usize {
        let known = self.threads.iter().position(|id| *id == thread);
        known.unwrap_or_else(|| {
            self.threads.push(thread);
            self.threads.len() - 1
        })
    }
}

pin_project! {
    /// A future that is being watched. See [`watch`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Watch<F> {
        // The name it goes by in the ledger.
        who: &'static str,
        // The waker handed down at the last poll, and what is behind it.
        waker: Option<(Waker, Arc<WatchedWaker>)>,
        #[pin]
        // The future that is watched.
        future: F,
    }
}

impl<F: Future> Future for Watch<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(ledger) = Ledger::current() else { return self.project().future.poll(cx) };
        let this = self.project();
        if this.waker.as_ref().is_none_or(|(_, watched)| !watched.is_for(&ledger, cx.waker())) {
            let (who, ledger, above) = (*this.who, ledger.clone(), cx.waker().clone());
            let watched = Arc::new(WatchedWaker { who, ledger, above });
            *this.waker = Some((watched.clone().into(), watched));
        }
        let (waker, _) = this.waker.as_ref().expect("set just above");

        ledger.record(this.who, Event::Poll);
        let answer = this.future.poll(&mut Context::from_waker(waker));
        ledger.record(this.who, if answer.is_ready() { Event::Ready } else { Event::Pending });
        answer
    }
}

/// Writes down each wake and passes it on.
#[derive(Debug)]
struct WatchedWaker {
    /// The name of the future that is woken.
    who: &'static str,
    /// Where the wake is written down, whichever thread it comes from.
    ledger: Ledger,
    /// The waker of whoever polled the watched future.
    above: Waker,
}

impl WatchedWaker {
    /// Whether it writes into `ledger` and wakes as `above` does.
    fn is_for(&self, ledger: &Ledger, above: &Waker) -> bool {
        Arc::ptr_eq(&self.ledger.pages, &ledger.pages) && self.above.will_wake(above)
    }
}

impl Wake for WatchedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ledger.record(self.who, Event::Wake);
        self.above.wake_by_ref();
    }
}
