// [lost-wake] the_list_tells_the_parent_unlocked
//
// Tells the parent, and writes the child on the list after that. A parent that looks at once sees an empty list,
// and nobody tells it of what is written then.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use under_await::ch03_waker::waker_fn;

#[derive(Default)]
pub struct WokenList(Mutex<Vec<usize>>, Mutex<Option<Waker>>);

impl WokenList {
    pub fn waker(self: &Arc<Self>, child: usize) -> Waker {
        let list = self.clone();
        waker_fn(move || {
            let parent = list.1.lock().unwrap().take();
            parent.into_iter().for_each(Waker::wake);
            let mut woken = list.0.lock().unwrap();
            if !woken.contains(&child) {
                woken.push(child);
            }
        })
    }

    pub fn look(&self, parent: &Waker, woken: &mut impl Extend<usize>) {
        let _older = self.1.lock().unwrap().replace(parent.clone());
        woken.extend(self.0.lock().unwrap().drain(..));
    }
}
