// What chapter 5 asks beyond its layer.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use super::WakerCell;
use crate::support::schedules::{model, point};

/// A line between somebody who wants an answer and somebody who works for it. Dropping the [`Line`]
/// completes the [`Hangup`], and the work can stop. Put one beside a `oneshot`, and its sender can
/// wait for its receiver to go away: what tokio calls `Sender::closed`.
pub fn line() -> (Line, Hangup) {
    let shared = Arc::new(Shared::default());
    (Line { shared: shared.clone() }, Hangup { shared })
}

/// For the side that wants the answer. See [`line`].
#[derive(Debug)]
pub struct Line {
    shared: Arc<Shared>,
}

/// For the side that works: ready when the line was dropped. See [`line`].
#[derive(Debug)]
pub struct Hangup {
    shared: Arc<Shared>,
}

/// What the two sides share. The checks stop at each of its four steps, to let the other side come in
/// between.
#[derive(Debug, Default)]
struct Shared {
    /// Set when the line was dropped.
    gone: AtomicBool,
    /// Whom to tell then.
    waker: WakerCell,
}

impl Shared {
    /// Whether the line was dropped.
    fn look(&self) -> bool {
        point("look");
        // Pairs with the `Release` in `set`.
        self.gone.load(Ordering::Acquire)
    }

    /// Leaves `waker` for whoever wakes.
    fn keep(&self, waker: &Waker) {
        point("keep the waker");
        self.waker.register(waker);
    }

    /// From now on the line is gone.
    fn set(&self) {
        point("set");
        // Pairs with the `Acquire` in `look`.
        self.gone.store(true, Ordering::Release);
    }

    /// Wakes whoever is kept now.
    fn wake(&self) {
        point("wake whoever is kept");
        self.waker.wake();
    }
}

impl Future for Hangup {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // ANCHOR: todo_5_4 keep the waker, and look: in the order that never loses a wake
        self.shared.keep(cx.waker());
        if self.shared.look() { Poll::Ready(()) } else { Poll::Pending }
        // ANCHOR_END: todo_5_4
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // ANCHOR: todo_5_5 set, and wake: in the order that never loses a wake
        self.shared.set();
        self.shared.wake();
        // ANCHOR_END: todo_5_5
    }
}

/// A [`WakerCell`] without a lock, to be repaired. Nobody waits here for anybody: whoever finds the
/// slot in use goes on, after having said so. The state and the slot are the model's: the one stops
/// the play before each operation, and the other one ends it when two threads are at the slot at
/// once. In a program it would be an `UnsafeCell`, and that would be undefined behaviour.
#[derive(Debug, Default)]
pub struct LocklessCell {
    /// [`FREE`], or who is at the slot.
    state: model::AtomicU8,
    /// The waker of the latest poll, until it is woken.
    slot: model::Exclusive<Option<Waker>>,
}

/// Nobody is at the slot. → `KEEPING`, `WAKING`
const FREE: u8 = 0;
/// `register` is at the slot. → `FREE`, or with a note from a `wake`: → `KEEPING | WAKING` → `FREE`
const KEEPING: u8 = 1;
/// A `wake` is at the slot. → `FREE`
const WAKING: u8 = 2;

impl LocklessCell {
    /// Leaves a clone of `waker` in place of the one before. If a wake comes meanwhile, `waker` is
    /// woken by us.
    pub fn register(&self, waker: &Waker) {
        // ANCHOR: todo_5_6 keep the waker, alone at the slot; wake it if a `wake` came meanwhile
        let entered = self.state.compare_exchange(
            FREE,
            KEEPING,
            // Pairs with the `Release` of whoever was at the slot before us.
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        if entered.is_err() {
            // A wake is under way, for another waker than ours: ours asks for another poll.
            waker.wake_by_ref();
            return;
        }
        let older = self.slot.with(|slot| slot.replace(waker.clone()));
        // `Release`: whoever is at the slot next sees the waker. `Acquire`: whoever left a note had
        // done something before, and the poll that we ask for is to see it.
        if self.state.swap(FREE, Ordering::AcqRel) != KEEPING {
            waker.wake_by_ref();
        }
        drop(older);
        // ANCHOR_END: todo_5_6
    }

    /// Wakes the waker that was left last, if it has not been woken yet.
    pub fn wake(&self) {
        // ANCHOR: todo_5_7 take the waker, alone at the slot, and wake it afterwards; or leave a note
        if self.state.fetch_or(WAKING, Ordering::AcqRel) != FREE {
            // Somebody is at the slot: `register`, which finds our note as it leaves, or a `wake`,
            // which does what we would do.
            return;
        }
        let waker = self.slot.with(mem::take);
        self.state.swap(FREE, Ordering::Release);
        if let Some(waker) = waker {
            waker.wake();
        }
        // ANCHOR_END: todo_5_7
    }

    /// The version to mend: `state` says whether there is a waker in the slot, 1 or 0.
    pub fn register_hastily(&self, waker: &Waker) {
        let older = self.slot.with(|slot| slot.replace(waker.clone()));
        self.state.store(1, Ordering::Release);
        drop(older);
    }

    /// The other half of it.
    pub fn wake_hastily(&self) {
        if self.state.swap(0, Ordering::AcqRel) == 1 {
            let waker = self.slot.with(mem::take);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}
