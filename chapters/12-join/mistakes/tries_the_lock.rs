// [lost-wake] woken_during_a_look
//
// Tries the lock, and gives up when somebody has it: whoever looks at this moment will see everything, it
// seems. But that look may have passed the child already, and then nobody has heard of the wake.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use under_await::ch03_waker::waker_fn;

#[derive(Default)]
pub struct WokenList(Mutex<(Vec<usize>, Option<Waker>)>);

impl WokenList {
    pub fn waker(self: &Arc<Self>, child: usize) -> Waker {
        let list = Arc::downgrade(self);
        waker_fn(move || list.upgrade().iter().for_each(|list| list.wake(child)))
    }

    pub fn look(&self, parent: &Waker, woken: &mut impl Extend<usize>) {
        let mut state = self.0.lock().unwrap();
        let _older = state.1.replace(parent.clone());
        woken.extend(state.0.drain(..));
        drop(state);
    }

    fn wake(&self, child: usize) {
        let Ok(mut state) = self.0.try_lock() else { return };
        if !state.0.contains(&child) {
            state.0.push(child);
        }
        let parent = state.1.take();
        drop(state);
        parent.into_iter().for_each(Waker::wake);
    }
}
