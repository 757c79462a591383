//! Who has heard of what, in a play of [`schedules`](super::schedules).
//!
//! A flag that is seen set says nothing about the memory around it. That is what the orderings are
//! for: a `Release` hands on all that its thread knows, and the `Acquire` that reads the value
//! takes it over. Here this knowledge is counted, so that a check can ask for it: [`News`] that no
//! ordering has handed on has not arrived, however the processor at hand would treat it.

// The real one: in `tests/orders_*.rs` a model stands in for `std`'s locks and atomics.
extern crate std as real;

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::cell::Cell;

use self::real::sync::Mutex;

/// How many actors a play may have.
const ACTORS: usize = 8;

/// How much is known of each actor's news: so many pieces, counted from its first.
#[derive(Clone, Copy, Debug, Default)]
struct Known([u32; ACTORS]);

impl Known {
    const NOTHING: Known = Known([0; ACTORS]);

    fn join(&mut self, other: Known) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine = theirs.max(*mine));
    }
}

/// What an actor carries with it.
#[derive(Clone, Copy, Debug)]
struct Mind {
    /// Which of the actors it is.
    me: usize,
    /// What it knows.
    known: Known,
    /// What went with the values it has read without `Acquire`: an acquiring fence makes it known.
    read: Known,
    /// What it knew at its last releasing fence: it goes with what is written without `Release`.
    fenced: Known,
}

thread_local! {
    static MIND: Cell<Option<Mind>> = const { Cell::new(None) };
}

/// From here on, this thread is actor `me`, who knows nothing.
pub(super) fn begin(me: usize) {
    let nothing = Known::NOTHING;
    MIND.set(Some(Mind { me, known: nothing, read: nothing, fenced: nothing }));
}

/// Does something with the mind of this thread's actor, if it is one.
fn think(f: impl FnOnce(&mut Mind)) {
    if let Some(mut mind) = MIND.get() {
        f(&mut mind);
        MIND.set(Some(mind));
    }
}

/// As [`std::sync::atomic::fence`].
pub(super) fn fence(order: Ordering) {
    think(|mind| {
        if acquires(order) {
            mind.known.join(mind.read);
        }
        if releases(order) {
            mind.fenced = mind.known;
        }
    });
}

/// What goes with the value of an atomic, or with a lock.
#[derive(Debug, Default)]
pub(super) struct Handed(Mutex<Known>);

impl Handed {
    pub(super) const fn new() -> Self {
        Handed(Mutex::new(Known::NOTHING))
    }

    /// The value was read.
    pub(super) fn load(&self, order: Ordering) {
        think(|mind| mind.takes(*self.0.lock().unwrap(), order));
    }

    /// A value was written, whatever was there before.
    pub(super) fn store(&self, order: Ordering) {
        think(|mind| *self.0.lock().unwrap() = mind.gives(order));
    }

    /// The value was read and another one written, in one step: what went with the old one goes
    /// with the new one, too.
    pub(super) fn change(&self, order: Ordering) {
        think(|mind| {
            let mut handed = self.0.lock().unwrap();
            mind.takes(*handed, order);
            handed.join(mind.gives(order));
        });
    }
}

impl Mind {
    fn takes(&mut self, handed: Known, order: Ordering) {
        self.read.join(handed);
        if acquires(order) {
            self.known.join(handed);
        }
    }

    fn gives(&self, order: Ordering) -> Known {
        if releases(order) { self.known } else { self.fenced }
    }
}

fn acquires(order: Ordering) -> bool {
    matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
}

fn releases(order: Ordering) -> bool {
    matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
}

/// Something that one actor has done and that others may have heard of.
#[derive(Debug, Default)]
pub struct News {
    /// Who has done it.
    by: AtomicUsize,
    /// Which of that actor's news it is; 0 as long as it has not been done.
    number: AtomicU32,
}

impl News {
    /// It is done, by this actor.
    pub fn done(&self) {
        think(|mind| {
            mind.known.0[mind.me] += 1;
            self.by.store(mind.me, Ordering::SeqCst);
            self.number.store(mind.known.0[mind.me], Ordering::SeqCst);
        });
    }

    /// Whether it has been done, be it known here or not.
    pub fn is_done(&self) -> bool {
        self.number.load(Ordering::SeqCst) > 0
    }

    /// Whether this actor knows that it has been done: by itself, or handed on from a `Release` to
    /// an `Acquire`.
    pub fn is_known(&self) -> bool {
        let (by, number) = (self.by.load(Ordering::SeqCst), self.number.load(Ordering::SeqCst));
        let knows = |mind: Mind| mind.known.0[by] >= number;
        number > 0 && MIND.get().is_some_and(knows)
    }
}
