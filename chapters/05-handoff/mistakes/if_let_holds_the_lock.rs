// [woken-under-lock] a_cell_wakes_unlocked
//
// Takes the waker and wakes it, in one `if let`. It reads like "unlock, then wake". But what an
// `if let` looks at, the guard included, lives to the end of its block.

use std::sync::Mutex;
use std::task::Waker;

#[derive(Default)]
pub struct WakerCell {
    waker: Mutex<Option<Waker>>,
}

// ANCHOR: WakerCell
impl WakerCell {
    pub fn register(&self, waker: &Waker) {
        let newest = waker.clone();
        let _older = self.waker.lock().unwrap().replace(newest);
    }

    pub fn wake(&self) {
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
}
// ANCHOR_END: WakerCell
