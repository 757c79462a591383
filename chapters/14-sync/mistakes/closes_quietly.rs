// [never-woken] a_closed_semaphore
//
// To close is to set a flag, and only a newcomer looks at it. Those that already wait are not told, and
// go on waiting for permits that nobody gives out any more.

use std::sync::atomic::{AtomicBool, Ordering};

use under_await::ch14_sync::Semaphore as Inner;

pub struct Semaphore(Inner, AtomicBool);

impl Semaphore {
    pub fn new(permits: usize) -> Self {
        Semaphore(Inner::new(permits), AtomicBool::new(false))
    }

    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        if self.1.load(Ordering::Acquire) {
            return Err(AcquireError);
        }
        self.0.acquire().await
    }

    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.0.try_acquire()
    }

    pub fn add_permits(&self, n: usize) {
        self.0.add_permits(n);
    }

    pub fn available_permits(&self) -> usize {
        self.0.available_permits()
    }

    pub fn close(&self) {
        self.1.store(true, Ordering::Release);
    }
}
