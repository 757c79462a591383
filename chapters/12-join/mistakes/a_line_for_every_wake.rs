// [piles-up] the_list_notes_each_once
//
// Every wake is a line on the list. A child that is woken a thousand times between two looks is polled a
// thousand times, the later times perhaps after its end.

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
        state.0.push(child);
        let parent = state.1.take();
        drop(state);
        parent.into_iter().for_each(Waker::wake);
    }
}
