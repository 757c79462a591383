// [not-on-time] later_rounds_stay
//
// A slot is emptied when its turn comes, whatever stands there. What is due in a later round comes out
// in this one: early, by a whole turn of the wheel or by several.

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
            self.slots[(tick % SLOTS) as usize].push((tick, id));
            tick
        }

        pub fn remove(&mut self, tick: u64, id: u64) -> bool {
            self.slots.iter_mut().any(|slot| slot.extract_if(.., |t| *t == (tick, id)).count() > 0)
        }

        pub fn advance(&mut self, now: u64) -> Vec<u64> {
            let ticks = self.next..=now;
            self.next = now + 1;
            ticks.flat_map(|tick| std::mem::take(&mut self.slots[(tick % SLOTS) as usize]))
                .map(|(_, id)| id)
                .collect()
        }
    }
}
