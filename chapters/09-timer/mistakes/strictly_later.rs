// [not-on-time] due_at_its_deadline
//
// `<` where `<=` is meant. The wait ends at the deadline, the clock may show that very moment, and
// nobody is woken. Here the next wait tries again; where a timer is armed only once, it is lost.

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
        (first.key().deadline < now).then(|| first.remove())
    }
}
