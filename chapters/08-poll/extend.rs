// What chapter 8 asks beyond its layer.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;

use super::{Direction, Registration};
use crate::support::schedules::model;

/// A table without holes: values side by side, in a slice that could be handed to a system call, and
/// keys that find them again although they move. A key is valid until its value is removed, and is
/// never valid again.
#[derive(Debug)]
pub struct Slots<T> {
    /// The values, without holes, and for each the slot that leads to it.
    values: Vec<T>,
    owners: Vec<usize>,
    /// The slots, where keys lead to, and those of them that lead nowhere.
    slots: Vec<Slot>,
    free: Vec<usize>,
}

/// Where a key leads to.
#[derive(Debug)]
struct Slot {
    /// Where its value is, if it has one.
    at: usize,
    /// How many values it has had before: keys to those have a lower number.
    generation: u64,
}

/// What `insert` gives, and what finds the value again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    slot: usize,
    generation: u64,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { values: Vec::new(), owners: Vec::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Puts `value` at the end of the table.
    pub fn insert(&mut self, value: T) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { at: 0, generation: 0 });
            self.slots.len() - 1
        });
        self.slots[slot].at = self.values.len();
        self.values.push(value);
        self.owners.push(slot);
        Key { slot, generation: self.slots[slot].generation }
    }

    /// The value of `key`, unless it has been removed.
    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.slot)?;
        (slot.generation == key.generation).then(|| &self.values[slot.at])
    }

    /// All values.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Takes the value of `key` out of the table, unless that has been done. The last value moves into
    /// its place, so that there is no hole.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        // ANCHOR: todo_8_3 `swap_remove`; its slot is free and of age, the moved one leads there
        self.get(key)?;
        let slot = &mut self.slots[key.slot];
        slot.generation += 1;
        let at = slot.at;
        self.free.push(key.slot);
        self.owners.swap_remove(at);
        if let Some(moved) = self.owners.get(at) {
            self.slots[*moved].at = at;
        }
        Some(self.values.swap_remove(at))
        // ANCHOR_END: todo_8_3
    }
}

/// Waits until at least one of `ios` is ready in `direction`, and returns the places of all that are,
/// in order. Without any, it waits for ever.
///
/// # Errors
/// When one of them cannot be watched.
pub async fn ready_of(direction: Direction, ios: &[impl AsFd]) -> io::Result<Vec<usize>> {
    // ANCHOR: todo_8_4 a registration each; at every poll, see which wakers are gone
    let registrations = ios.iter().map(Registration::new).collect::<io::Result<Vec<_>>>()?;
    let mut waiting = false;
    poll_fn(|cx| {
        let mut fired = Vec::new();
        for (place, registration) in registrations.iter().enumerate() {
            if !registration.wait_for(direction, cx)? && waiting {
                fired.push(place);
            }
        }
        waiting = true;
        if fired.is_empty() { Poll::Pending } else { Poll::Ready(Ok(fired)) }
    })
    .await
    // ANCHOR_END: todo_8_4
}

/// The two flags of this layer, to be repaired: somebody wanted to save a store. The flags are the
/// model's, and in place of the pipe there is the model's parking, so that the checks can play
/// every order of the steps in `sleep` and in `wake`.
#[derive(Debug)]
pub struct Sleeper {
    /// Set by `wake`, cleared by `sleep`.
    woken: model::AtomicBool,
    /// Whether the thread sleeps, or is about to.
    parked: model::AtomicBool,
    /// Whose sleep it is.
    thread: model::thread::Thread,
}

impl Sleeper {
    /// The sleep of this thread.
    #[expect(clippy::new_without_default, reason = "it depends on the thread it is made on")]
    pub fn new() -> Self {
        let [woken, parked] = [(); 2].map(|()| model::AtomicBool::new(false));
        Sleeper { woken, parked, thread: model::thread::current() }
    }

    /// What a waker does.
    pub fn wake(&self) {
        if !self.woken.swap(true, SeqCst) && self.parked.swap(false, SeqCst) {
            self.thread.unpark();
        }
    }

    /// Sleeps until it was woken, and uses that wake up.
    pub fn sleep(&self) {
        // ANCHOR: todo_8_5 what `sleep_sparingly` below is meant to do, right in every order
        while !self.woken.swap(false, SeqCst) {
            self.parked.store(true, SeqCst);
            if !self.woken.load(SeqCst) {
                model::thread::park();
            }
            self.parked.store(false, SeqCst);
        }
        // ANCHOR_END: todo_8_5
    }

    /// The version to mend. A thread that was woken does not sleep, and need not say that it does.
    pub fn sleep_sparingly(&self) {
        while !self.woken.swap(false, SeqCst) {
            if !self.woken.load(SeqCst) {
                self.parked.store(true, SeqCst);
                model::thread::park();
                self.parked.store(false, SeqCst);
            }
        }
    }
}
