// [wrong-result] called_and_then_closed
//
// Looks once more, after the wait, whether the semaphore is closed. One that was called before that has a
// permit already, and is sent away without it.

use under_await::ch14_sync::Semaphore as Inner;

pub struct Semaphore(Inner);

impl Semaphore {
    pub fn new(permits: usize) -> Self {
        Semaphore(Inner::new(permits))
    }

    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        let permit = self.0.acquire().await?;
        let closed = self.0.try_acquire().is_err_and(|why| why == TryAcquireError::Closed);
        if closed { Err(AcquireError) } else { Ok(permit) }
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
        self.0.close();
    }
}
