// [woken-under-lock] the_list_tells_the_parent_unlocked
//
// Notes the child and tells the parent, and unlocks only at the end of the function. A parent that polls inside
// `wake` comes to look at the list, which is still locked.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use under_await::ch03_waker::waker_fn;

#[derive(Default)]
pub struct WokenList(Mutex<(Vec<usize>, Option<Waker>)>);

impl WokenList {
    pub fn waker(self: &Arc<Self>, child: usize) -> Waker {
        let list = self.clone();
        waker_fn(move || list.wake(child))
    }

    pub fn look(&self, parent: &Waker, woken: &mut impl Extend<usize>) {
        let mut state = self.0.lock().unwrap();
        woken.extend(state.0.drain(..));
        state.1 = Some(parent.clone());
    }

    fn wake(&self, child: usize) {
        let mut state = self.0.lock().unwrap();
        if !state.0.contains(&child) {
            state.0.push(child);
        }
        if let Some(parent) = state.1.take() {
            parent.wake();
        }
    }
}
