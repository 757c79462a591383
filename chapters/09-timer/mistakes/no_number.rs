// [not-on-time] the_earliest_first
//
// A deadline for a key, and nothing else. Two timers with the same deadline have one place between them,
// so the second one throws the first one out, and the task that waited for the first is never woken.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

#[derive(Default)]
pub struct Timers {
    wakers: BTreeMap<Key, Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    deadline: Instant,
}

impl Key {
    pub fn new(deadline: Instant) -> Self {
        Key { deadline }
    }
}

impl Timers {
    pub fn insert(&mut self, key: Key, waker: Waker) -> Option<Waker> {
        self.wakers.insert(key, waker)
    }

    pub fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        let first = self.wakers.first_entry()?;
        (first.key().deadline <= now).then(|| first.remove())
    }
}
