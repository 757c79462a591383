// [lost-wake] one_notification_is_kept
//
// Notifies whoever waits. When nobody does, the notification is gone, and a task that was about to wait
// when it came waits for the next one.

use under_await::ch14_sync::Notify as Inner;

pub struct Notify(Inner);

impl Notify {
    pub fn new() -> Self {
        Notify(Inner::new())
    }

    pub fn notify_one(&self) {
        self.0.notify_waiters();
    }

    pub fn notify_waiters(&self) {
        self.0.notify_waiters();
    }

    pub fn notified(&self) -> impl Future<Output = ()> {
        self.0.notified()
    }
}
