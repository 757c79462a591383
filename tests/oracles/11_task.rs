// futures' `LocalPool`: one thread, many tasks, and no reactor: other threads end its sleep. What it has
// no handles for is put together from `abortable`, `catch_unwind` and a channel.

use futures::channel::oneshot;
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{AbortHandle, FutureExt, abortable};
use futures::task::LocalSpawnExt;

type Payload = Box<dyn std::any::Any + Send>;

thread_local! {
    static SPAWNER: std::cell::RefCell<Option<LocalSpawner>> = const { std::cell::RefCell::new(None) };
}

pub fn block_on<F: std::future::IntoFuture>(future: F) -> F::Output {
    let mut pool = LocalPool::new();
    SPAWNER.set(Some(pool.spawner()));
    pool.run_until(future.into_future())
}

pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    let (sender, receiver) = oneshot::channel();
    let (task, abort) = abortable(std::panic::AssertUnwindSafe(future).catch_unwind());
    let over = std::rc::Rc::new(std::cell::Cell::new(false));
    let end = over.clone();
    let task = task.map(move |result| {
        end.set(true);
        drop(sender.send(result));
    });
    let spawner = SPAWNER.with_borrow(Clone::clone).expect("inside of `block_on`");
    spawner.spawn_local(task).expect("the pool is there");
    JoinHandle { receiver, abort, over }
}

pub struct JoinHandle<T> {
    receiver: oneshot::Receiver<Result<Result<T, Payload>, futures::future::Aborted>>,
    abort: AbortHandle,
    over: std::rc::Rc<std::cell::Cell<bool>>,
}

impl<T> JoinHandle<T> {
    pub fn abort(&self) {
        self.abort.abort();
    }

    pub fn is_finished(&self) -> bool {
        self.over.get()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.receiver.poll_unpin(cx).map(|result| match result {
            Ok(Ok(Ok(output))) => Ok(output),
            Ok(Ok(Err(panic))) => Err(JoinError(Some(panic))),
            Ok(Err(_)) | Err(_) => Err(JoinError(None)),
        })
    }
}

pub struct JoinError(Option<Payload>);

impl JoinError {
    pub fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    pub fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    pub fn into_panic(self) -> Payload {
        self.0.expect("it panicked")
    }
}
