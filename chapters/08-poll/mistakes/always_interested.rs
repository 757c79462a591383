// [busy-poll] readiness_that_nobody_waits_for_ends_no_sleep
//
// Watches a descriptor for as long as it is registered. Most sockets can be written to at most times, so
// every sleep is over at once: a core is at 100 % while nothing happens.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use under_await::ch08_poll;

thread_local! {
    static ALL: RefCell<Vec<Rc<ch08_poll::Registration>>> = const { RefCell::new(Vec::new()) };
}

pub struct Registration(Rc<ch08_poll::Registration>);

impl Registration {
    pub fn new(io: &impl AsFd) -> io::Result<Self> {
        let row = Rc::new(ch08_poll::Registration::new(io)?);
        ALL.with_borrow_mut(|all| all.push(row.clone()));
        Ok(Registration(row))
    }

    pub fn wait_for(&self, direction: Direction, cx: &mut Context<'_>) -> io::Result<bool> {
        self.0.wait_for(direction, cx)
    }
}

pub fn wait(timeout: Option<Duration>, awake: impl Fn() -> bool) -> io::Result<()> {
    ch08_poll::wait(timeout, awake)?;
    for row in ALL.with_borrow(Clone::clone) {
        // Whoever was woken is gone; the interest stays.
        row.wait_for(Direction::Write, &mut Context::from_waker(Waker::noop()))?;
    }
    Ok(())
}
