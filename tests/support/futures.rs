//! Futures that keep a diary, for checks to run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use under_await::ledger::{Event, Ledger, Watch, watch};

use super::ledger;

/// Pending until another thread wakes it, `ms` milliseconds after the first poll.
pub fn later(ms: u64) -> Later {
    Later { delay: Duration::from_millis(ms), done: None, ledger: ledger() }
}

/// See [`later`].
#[derive(Debug)]
pub struct Later {
    /// How long the other thread sleeps.
    delay: Duration,
    /// Set by the other thread; `None` before the first poll.
    done: Option<Arc<AtomicBool>>,
    /// Where all of it is written down.
    ledger: Ledger,
}

impl Future for Later {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
        self.ledger.record("later", Event::Poll);
        if self.done.as_ref().is_some_and(|done| done.load(Ordering::Acquire)) {
            self.ledger.record("later", Event::Ready);
            return Poll::Ready("done");
        }
        self.ledger.record("later", Event::Pending);
        if self.done.is_none() {
            let (delay, done) = (self.delay, Arc::new(AtomicBool::new(false)));
            let (waker, ledger) = (cx.waker().clone(), self.ledger.clone());
            self.done = Some(done.clone());
            thread::spawn(move || {
                thread::sleep(delay);
                done.store(true, Ordering::Release);
                ledger.record("later", Event::Wake);
                waker.wake();
            });
        }
        Poll::Pending
    }
}

/// Pending `n` times; each time it wakes itself before it says so.
pub fn self_wakes(n: u32) -> SelfWakes {
    SelfWakes { left: n, ledger: ledger() }
}

/// See [`self_wakes`].
#[derive(Debug)]
pub struct SelfWakes {
    /// How often it will still be pending.
    left: u32,
    /// Where all of it is written down.
    ledger: Ledger,
}

impl Future for SelfWakes {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.ledger.record("self-waker", Event::Poll);
        if self.left == 0 {
            self.ledger.record("self-waker", Event::Ready);
            return Poll::Ready(());
        }
        self.left -= 1;
        self.ledger.record("self-waker", Event::Wake);
        cx.waker().wake_by_ref();
        self.ledger.record("self-waker", Event::Pending);
        Poll::Pending
    }
}

/// A waker that counts, for checks that poll by hand.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicU32,
}

impl Bell {
    /// The bell and its waker.
    pub fn new() -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell::default());
        (bell.clone(), bell.into())
    }

    /// How often it was woken since the last time this was asked.
    pub fn rung(&self) -> u32 {
        self.rung.swap(0, Ordering::SeqCst)
    }

    /// Whether it was woken since then. Asking changes nothing.
    pub fn is_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst) > 0
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts how often it is dropped, together with its clones.
#[derive(Clone, Debug, Default)]
pub struct Drops(Arc<AtomicU32>);

impl Drops {
    /// A value that is counted here when it is dropped.
    pub fn token(&self) -> DropToken {
        DropToken(self.0.clone())
    }

    /// The drops so far.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// See [`Drops::token`].
#[derive(Debug)]
pub struct DropToken(Arc<AtomicU32>);

impl Drop for DropToken {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
