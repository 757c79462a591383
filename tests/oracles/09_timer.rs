// futures has no timers. std's threads can sleep, though, and that is an opinion of its own on the
// contract: a thread for each sleep, under futures' executor.

pub use futures::executor::block_on;

pub fn sleep(duration: std::time::Duration) -> Sleep {
    let deadline = std::time::Instant::now().checked_add(duration);
    Sleep { deadline, waker: Default::default(), started: false }
}

pub fn sleep_until(deadline: std::time::Instant) -> Sleep {
    Sleep { deadline: Some(deadline), waker: Default::default(), started: false }
}

pub struct Sleep {
    deadline: Option<std::time::Instant>,
    waker: std::sync::Arc<futures::task::AtomicWaker>,
    started: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        self.waker.register(cx.waker());
        let Some(deadline) = self.deadline else { return std::task::Poll::Pending };
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return std::task::Poll::Ready(());
        }
        if !std::mem::replace(&mut self.started, true) {
            let waker = self.waker.clone();
            std::thread::spawn(move || {
                std::thread::sleep(left);
                waker.wake();
            });
        }
        std::task::Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.waker.take();
    }
}
