// [stray-wake] an_old_key_finds_nothing
//
// A key is the number of a slot, and says nothing of when. After the slot was given away again, the old
// key finds the new value. A key that is the address of a waker is worse: it finds whatever is left
// there.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    #[derive(Clone, Copy, Debug)]
    pub struct Key(usize);

    #[derive(Debug)]
    pub struct Slots<T> {
        values: Vec<T>,
        owners: Vec<usize>,
        slots: Vec<Option<usize>>,
        free: Vec<usize>,
    }

    impl<T> Default for Slots<T> {
        fn default() -> Self {
            Slots { values: vec![], owners: vec![], slots: vec![], free: vec![] }
        }
    }

    impl<T> Slots<T> {
        pub fn insert(&mut self, value: T) -> Key {
            let slot = self.free.pop().unwrap_or(self.slots.len());
            self.slots.resize(self.slots.len().max(slot + 1), None);
            self.slots[slot] = Some(self.values.len());
            self.values.push(value);
            self.owners.push(slot);
            Key(slot)
        }

        pub fn get(&self, key: Key) -> Option<&T> {
            Some(&self.values[self.slots[key.0]?])
        }

        pub fn values(&self) -> &[T] {
            &self.values
        }

        pub fn remove(&mut self, key: Key) -> Option<T> {
            let at = self.slots[key.0].take()?;
            self.free.push(self.owners.swap_remove(at));
            if let Some(moved) = self.owners.get(at) {
                self.slots[*moved] = Some(at);
            }
            Some(self.values.swap_remove(at))
        }
    }
}
