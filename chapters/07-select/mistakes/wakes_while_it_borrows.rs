// [woken-under-lock] wakes_when_the_reactor_is_free
//
// Wakes where it takes the wakers out, with the map still lent out. Whoever is woken and uses the map
// at once finds it taken.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use under_await::ch07_select as layer;

thread_local!(static WAITS: RefCell<u32> = const { RefCell::new(0) });

/// Counts the waits, in the map that they share.
struct Waits;

impl Drop for Waits {
    fn drop(&mut self) {
        WAITS.with_borrow_mut(|waits| *waits -= 1);
    }
}

/// The map's own waker, around the one that was left.
struct Borrows(Waker);

impl Wake for Borrows {
    fn wake(self: Arc<Self>) {
        WAITS.with_borrow_mut(|_| self.0.wake_by_ref());
    }
}

pub async fn readable(io: &impl AsFd) -> io::Result<()> {
    WAITS.with_borrow_mut(|waits| *waits += 1);
    let (_waits, mut wait) = (Waits, pin!(layer::readable(io)));
    std::future::poll_fn(|cx| {
        let waker = Waker::from(Arc::new(Borrows(cx.waker().clone())));
        let answer: Poll<io::Result<()>> = wait.as_mut().poll(&mut Context::from_waker(&waker));
        answer
    })
    .await
}
