// Other people's right answers: futures has a `select` for two that hands the loser back, and a oneshot
// whose receiver may be shared. Its futures are boxed here, for its `select` wants them `Unpin`, so the
// check that counts allocations is not for them. What `select!` needs, the layer has.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::channel::oneshot as theirs;
use futures::future::{Map, Shared};

pub fn race<A: IntoFuture, B: IntoFuture>(
    a: A,
    b: B,
) -> impl Future<Output = Either<A::Output, B::Output>> {
    let (a, b) = (Box::pin(a.into_future()), Box::pin(b.into_future()));
    futures::future::select(a, b).map(|winner| match winner {
        Either::Left((output, _loser)) => Either::Left(output),
        Either::Right((output, _loser)) => Either::Right(output),
    })
}

type Receiver = theirs::Receiver<()>;
type Heard = fn(Result<(), theirs::Canceled>);

#[derive(Clone)]
pub struct CancelToken {
    sender: Arc<Mutex<Option<theirs::Sender<()>>>>,
    receiver: Shared<Map<Receiver, Heard>>,
}

impl CancelToken {
    pub fn new() -> Self {
        let (sender, receiver) = theirs::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        CancelToken { sender, receiver: receiver.map((|_| ()) as Heard).shared() }
    }

    pub fn cancel(&self) {
        let sender = self.sender.lock().unwrap().take();
        drop(sender);
    }

    pub fn is_cancelled(&self) -> bool {
        self.sender.lock().unwrap().is_none()
    }

    pub fn cancelled(&self) -> Shared<Map<Receiver, Heard>> {
        self.receiver.clone()
    }
}

pub mod extend {
    pub use super::super::super::reference::subject::extend::*;

    use std::pin::pin;
    use std::time::Duration;

    use futures::future::{Either, select};
    use under_await::ch09_timer::{Elapsed, interval, sleep};

    pub async fn timeout<F: IntoFuture>(
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        match select(pin!(future.into_future()), sleep(limit)).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(((), _)) => Err(Elapsed),
        }
    }

    pub async fn with_heartbeat<T>(
        work: impl AsyncFn() -> T,
        period: Duration,
        mut beat: impl FnMut(),
    ) -> T {
        let (mut work, mut ticks) = (pin!(work()), interval(period));
        loop {
            match select(work, pin!(ticks.tick())).await {
                Either::Left((output, _)) => return output,
                Either::Right((_, unfinished)) => work = unfinished,
            }
            beat();
        }
    }
}
