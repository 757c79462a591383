// [not-on-time] what_is_past_is_past
//
// Goes on from where it was told to, even if that is further back. What is put in after that, for a tick
// whose slot has been emptied already, waits for another whole turn of the wheel, or comes out of order.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub struct Wheel {
        slots: Vec<Vec<(u64, u64)>>,
        next: u64,
    }

    impl Wheel {
        pub fn new() -> Self {
            Wheel { slots: vec![Vec::new(); SLOTS as usize], next: 0 }
        }

        pub fn insert(&mut self, tick: u64, id: u64) -> u64 {
            let tick = tick.max(self.next);
            self.slots[(tick % SLOTS) as usize].push((tick, id));
            tick
        }

        pub fn remove(&mut self, tick: u64, id: u64) -> bool {
            self.slots.iter_mut().any(|slot| slot.extract_if(.., |t| *t == (tick, id)).count() > 0)
        }

        pub fn advance(&mut self, now: u64) -> Vec<u64> {
            let mut due = Vec::new();
            for tick in self.next..=now.min(self.next + SLOTS - 1) {
                let slot = &mut self.slots[(tick % SLOTS) as usize];
                due.extend(slot.extract_if(.., |(tick, _)| *tick <= now));
            }
            self.next = now + 1;
            due.sort_by_key(|(tick, _)| *tick);
            due.into_iter().map(|(_, id)| id).collect()
        }
    }
}
