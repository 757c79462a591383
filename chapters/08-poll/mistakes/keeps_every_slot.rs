// [piles-up] slots_are_used_again
//
// Gives each value a slot that was never used before. No key can grow old, and nothing is ever wrong,
// except that the table of a server remembers every connection that it ever had.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    #[derive(Clone, Copy)]
    pub struct Key(usize);

    #[derive(Debug)]
    pub struct Slots<T> {
        values: Vec<T>,
        owners: Vec<usize>,
        places: Vec<Option<usize>>,
    }

    impl<T> Default for Slots<T> {
        fn default() -> Self {
            Slots { values: Vec::new(), owners: Vec::new(), places: Vec::new() }
        }
    }

    impl<T> Slots<T> {
        pub fn insert(&mut self, value: T) -> Key {
            self.places.push(Some(self.values.len()));
            self.owners.push(self.places.len() - 1);
            self.values.push(value);
            Key(self.places.len() - 1)
        }

        pub fn get(&self, key: Key) -> Option<&T> {
            Some(&self.values[self.places[key.0]?])
        }

        pub fn values(&self) -> &[T] {
            &self.values
        }

        pub fn remove(&mut self, key: Key) -> Option<T> {
            let at = self.places[key.0].take()?;
            self.owners.swap_remove(at);
            if let Some(moved) = self.owners.get(at) {
                self.places[*moved] = Some(at);
            }
            Some(self.values.swap_remove(at))
        }
    }
}
