// [lost-wake] all_are_notified_who_have_asked
//
// `notified` is an `async fn`, so it does nothing before its first poll. A task that asks, looks and then
// waits has not asked yet when it looks, and misses what happens in between.

use under_await::ch14_sync::Notify as Inner;

pub struct Notify(Inner);

impl Notify {
    pub fn new() -> Self {
        Notify(Inner::new())
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_waiters(&self) {
        self.0.notify_waiters();
    }

    pub async fn notified(&self) {
        self.0.notified().await;
    }
}
