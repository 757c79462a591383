// [wrong-result] a_permit_is_passed_on
//
// Makes the permit first and waits second, so that the permit is at hand when it is its turn. Dropped while
// it waits, it drops the permit as well, which gives back what it was never given.

use under_await::ch14_sync::Semaphore as Inner;

pub struct Semaphore(Inner);
pub struct SemaphorePermit<'a>(&'a Semaphore);

impl Semaphore {
    pub fn new(permits: usize) -> Self {
        Semaphore(Inner::new(permits))
    }

    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        let permit = SemaphorePermit(self);
        self.0.acquire().await?.forget();
        Ok(permit)
    }

    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.0.try_acquire()?.forget();
        Ok(SemaphorePermit(self))
    }

    pub fn add_permits(&self, n: usize) {
        self.0.add_permits(n);
    }

    pub fn available_permits(&self) -> usize {
        self.0.available_permits()
    }

    pub fn close(&self) {
        self.0.close();
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
