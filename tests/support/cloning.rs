//! Wakers that notice when they are cloned or dropped: std's `Wake` does not tell.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

/// A waker that calls `f` each time it is cloned, and what it shares with its clones.
pub fn cloning(f: impl Fn() + Send + Sync + 'static) -> (Arc<Cloning>, Waker) {
    noticing(f, || {})
}

/// A waker that calls `f` each time it, or a clone of it, is dropped: not the last of them only.
pub fn dropping(f: impl Fn() + Send + Sync + 'static) -> Waker {
    noticing(|| {}, f).1
}

fn noticing(
    cloned: impl Fn() + Send + Sync + 'static,
    dropped: impl Fn() + Send + Sync + 'static,
) -> (Arc<Cloning>, Waker) {
    let (cloned, dropped) = (Box::new(cloned), Box::new(dropped));
    let shared = Arc::new(Cloning { cloned, dropped, wakes: AtomicU32::new(0) });
    let data = Arc::into_raw(shared.clone()).cast();
    // SAFETY: the table's functions expect an `Arc<Cloning>` turned raw, and this is one whose share
    // belongs to the waker. What is behind it is `Send` and `Sync`.
    (shared, unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) })
}

/// See [`cloning`] and [`dropping`].
pub struct Cloning {
    /// Called at every clone.
    cloned: Box<dyn Fn() + Send + Sync>,
    /// Called at every drop.
    dropped: Box<dyn Fn() + Send + Sync>,
    /// The wakes so far.
    wakes: AtomicU32,
}

impl Cloning {
    /// The wakes so far.
    pub fn wakes(&self) -> u32 {
        self.wakes.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Cloning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloning").field("wakes", &self.wakes).finish_non_exhaustive()
    }
}

/// In each, `data` is an `Arc<Cloning>` turned raw, of which the waker owns a share.
static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the waker's share is alive while its function runs.
        (unsafe { &*data.cast::<Cloning>() }.cloned)();
        // SAFETY: as above; the new share belongs to the clone.
        unsafe { Arc::increment_strong_count(data.cast::<Cloning>()) };
        RawWaker::new(data, &VTABLE)
    },
    |data| {
        // SAFETY: the waker gives up its share, and `shared` takes it.
        let shared = unsafe { Arc::from_raw(data.cast::<Cloning>()) };
        shared.wakes.fetch_add(1, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: the waker's share is alive while its function runs.
        unsafe { &*data.cast::<Cloning>() }.wakes.fetch_add(1, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: the waker gives up its share, and `shared` takes it.
        let shared = unsafe { Arc::from_raw(data.cast::<Cloning>()) };
        (shared.dropped)();
    },
);
