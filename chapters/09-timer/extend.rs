// What chapter 9 asks beyond its layer.

use std::time::{Duration, Instant};

use super::sleep_until;

/// What a ticker does when the next tick is due already as it takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedTicks {
    /// Catch up: every tick comes, the missed ones at once, and all are due when they always were.
    Burst,
    /// Start anew: the next tick is due a whole period from now.
    Delay,
    /// Leave out: the next tick is the first one of the old timetable that is still to come.
    Skip,
}

/// When the tick after the one of `due` is due, if that one is taken at `now`, which is not before
/// `due`. As long as no tick was missed, it is a period after `due` whatever the policy: a ticker
/// that is a little late each time must not fall behind.
pub fn next_tick(missed: MissedTicks, due: Instant, now: Instant, period: Duration) -> Instant {
    // ANCHOR: todo_9_5 a period after `due`; if that is not after `now`, what the policy says
    let next = due + period;
    if next > now {
        return next;
    }
    match missed {
        MissedTicks::Burst => next,
        MissedTicks::Delay => now + period,
        MissedTicks::Skip => {
            let into_period = (now - due).as_nanos() % period.as_nanos();
            now + period - Duration::from_nanos(into_period as u64)
        }
    }
    // ANCHOR_END: todo_9_5
}

/// An interval with a policy.
#[derive(Debug)]
pub struct Ticker {
    /// When the next tick is due.
    next: Instant,
    period: Duration,
    missed: MissedTicks,
}

impl Ticker {
    /// Ticks every `period`, the first time at once.
    pub fn new(period: Duration, missed: MissedTicks) -> Self {
        Ticker { next: Instant::now(), period, missed }
    }

    /// Waits for the next tick, and returns when it was due.
    pub async fn tick(&mut self) -> Instant {
        let due = self.next;
        sleep_until(due).await;
        self.next = next_tick(self.missed, due, Instant::now(), self.period);
        due
    }
}

/// What to tell `poll(2)`, which counts in whole milliseconds and takes -1 for "for ever": so that
/// it does not return before `timeout` is over, and no later than it has to. What is too long for
/// an `i32` becomes the longest wait there is; the caller looks at the clock and waits again.
pub fn milliseconds(timeout: Option<Duration>) -> i32 {
    // ANCHOR: todo_9_6 what `milliseconds_in_short` is meant to be, right for every duration
    match timeout {
        Some(timeout) => timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(i32::MAX),
        None => -1,
    }
    // ANCHOR_END: todo_9_6
}

/// The version to mend. Every sleep that goes through it is over in time, and yet it is wrong twice.
pub fn milliseconds_in_short(timeout: Option<Duration>) -> i32 {
    timeout.map_or(-1, |timeout| timeout.as_millis() as i32)
}

/// How many slots a wheel has.
pub const SLOTS: u64 = 256;

/// A hashed wheel: timers by the tick at which they are due, in a ring of slots. What is due at
/// tick 3, at `3 + SLOTS` and at `3 + 2 * SLOTS` shares a slot. To put a timer in or to take one
/// out is to look at one slot, however many timers there are.
#[derive(Debug)]
pub struct Wheel {
    /// In slot `tick % SLOTS`, in any order: the ticks at which timers are due, and their ids.
    slots: Vec<Vec<(u64, u64)>>,
    /// The next tick to look at: what was due before it has been taken out.
    next: u64,
}

impl Wheel {
    /// A wheel at tick 0, without timers.
    #[allow(clippy::new_without_default)] // `new` is the name in this field.
    pub fn new() -> Self {
        Wheel { slots: vec![Vec::new(); SLOTS as usize], next: 0 }
    }

    /// Puts a timer in. Returns the tick at which it is due: `tick`, or the next one that is looked
    /// at, if `tick` has passed.
    pub fn insert(&mut self, tick: u64, id: u64) -> u64 {
        let tick = tick.max(self.next);
        self.slot(tick).push((tick, id));
        tick
    }

    /// Takes a timer out, by the tick that `insert` returned. Returns whether it was there.
    pub fn remove(&mut self, tick: u64, id: u64) -> bool {
        let slot = self.slot(tick);
        let found = slot.iter().position(|timer| *timer == (tick, id));
        found.map(|at| slot.swap_remove(at)).is_some()
    }

    /// Takes out all that is due at tick `now` or before, in the order of the ticks: returns the
    /// ids. However many ticks have passed, no slot is looked at twice.
    pub fn advance(&mut self, now: u64) -> Vec<u64> {
        // ANCHOR: todo_9_7 the slots from `next` to `now`; later rounds stay where they are
        let last = now.min(self.next + SLOTS - 1);
        let mut due = Vec::new();
        for tick in self.next..=last {
            due.extend(self.slot(tick).extract_if(.., |(tick, _)| *tick <= now));
        }
        self.next = self.next.max(now + 1);
        due.sort_by_key(|(tick, _)| *tick);
        due.into_iter().map(|(_, id)| id).collect()
        // ANCHOR_END: todo_9_7
    }

    /// Where the timers of a tick stand.
    fn slot(&mut self, tick: u64) -> &mut Vec<(u64, u64)> {
        &mut self.slots[(tick % SLOTS) as usize]
    }
}
