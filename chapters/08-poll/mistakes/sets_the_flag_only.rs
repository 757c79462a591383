// [lost-wake] a_wake_after_the_look_ends_the_sleep
//
// Sets the flag, and leaves it at that. A thread in `poll` looks at no flags: it sleeps on until a
// descriptor happens to be ready. With a timeout of a second on every sleep, the program seems slow
// instead.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

pub struct Root(AtomicBool);

impl Root {
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Root(AtomicBool::new(false))))
    }

    pub fn is_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
