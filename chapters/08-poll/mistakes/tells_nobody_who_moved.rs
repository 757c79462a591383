// [wrong-result] keys_find_their_values
//
// `swap_remove` moves the last value into the gap; its key still leads to where it was. In a reactor,
// that wakes the wrong task: this row's event is another row's waker.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    #[derive(Clone, Copy)]
    pub struct Key {
        slot: usize,
        generation: u64,
    }

    #[derive(Debug)]
    pub struct Slots<T> {
        values: Vec<T>,
        slots: Vec<(usize, u64)>,
        free: Vec<usize>,
    }

    impl<T> Default for Slots<T> {
        fn default() -> Self {
            Slots { values: Vec::new(), slots: Vec::new(), free: Vec::new() }
        }
    }

    impl<T> Slots<T> {
        pub fn insert(&mut self, value: T) -> Key {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push((0, 0));
                self.slots.len() - 1
            });
            self.slots[slot].0 = self.values.len();
            self.values.push(value);
            Key { slot, generation: self.slots[slot].1 }
        }

        pub fn get(&self, key: Key) -> Option<&T> {
            let (at, generation) = self.slots[key.slot];
            (generation == key.generation).then(|| self.values.get(at)).flatten()
        }

        pub fn values(&self) -> &[T] {
            &self.values
        }

        pub fn remove(&mut self, key: Key) -> Option<T> {
            self.get(key)?;
            self.slots[key.slot].1 += 1;
            self.free.push(key.slot);
            Some(self.values.swap_remove(self.slots[key.slot].0))
        }
    }
}
