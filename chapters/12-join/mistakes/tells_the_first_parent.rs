// [never-woken] the_list_tells_the_parent
//
// Leaves the parent's waker at the first look, and never again. When the join has moved into another task since,
// that task sleeps on.

use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use under_await::ch03_waker::waker_fn;

#[derive(Default)]
pub struct WokenList(Mutex<Vec<usize>>, OnceLock<Waker>);

impl WokenList {
    pub fn waker(self: &Arc<Self>, child: usize) -> Waker {
        let list = self.clone();
        waker_fn(move || {
            let mut woken = list.0.lock().unwrap();
            if !woken.contains(&child) {
                woken.push(child);
            }
            drop(woken);
            list.1.get().into_iter().for_each(Waker::wake_by_ref);
        })
    }

    pub fn look(&self, parent: &Waker, woken: &mut impl Extend<usize>) {
        self.1.get_or_init(|| parent.clone());
        woken.extend(self.0.lock().unwrap().drain(..));
    }
}
