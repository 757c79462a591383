// [never-woken] each_call_is_for_one
//
// Keeps one notification, and takes it to mean that one is on its way. A second one is dropped until the
// first has arrived, though two tasks wait.

use std::sync::atomic::{AtomicBool, Ordering};

use under_await::ch14_sync::Notify as Inner;

pub struct Notify(Inner, AtomicBool);

impl Notify {
    pub fn new() -> Self {
        Notify(Inner::new(), AtomicBool::new(false))
    }

    pub fn notify_one(&self) {
        if !self.1.swap(true, Ordering::AcqRel) {
            self.0.notify_one();
        }
    }

    pub fn notify_waiters(&self) {
        self.0.notify_waiters();
    }

    pub fn notified(&self) -> impl Future<Output = ()> {
        let notified = self.0.notified();
        async {
            notified.await;
            self.1.store(false, Ordering::Release);
        }
    }
}
