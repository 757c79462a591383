//! How much memory a task takes that waits.

use std::cell::RefCell;
use std::future::poll_fn;
use std::hint::black_box;
use std::rc::Rc;
use std::task::{Poll, Waker};

use async_executor::LocalExecutor;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use tokio::task::LocalSet;

use crate::table::{compare, counted};

pub(crate) fn measure() {
    let tokio = &crate::tasks::tokio();
    compare(
        "a task that waits, with 64 bytes of its own (layer 11)",
        "bytes",
        100_000,
        vec![
            counted("under_await", |n| {
                under_await::block_on(async {
                    grown(n, |task| drop(under_await::spawn(task)), waits).await
                })
            }),
            counted("tokio, LocalSet", |n| {
                LocalSet::new().block_on(tokio, async {
                    grown(n, |task| drop(tokio::task::spawn_local(task)), waits).await
                })
            }),
            counted("smol, LocalExecutor", |n| {
                let executor = LocalExecutor::new();
                futures_lite::future::block_on(executor.run(async {
                    let spawn = |task| executor.spawn(task).detach();
                    grown(n, spawn, waits).await
                }))
            }),
            counted("futures, LocalPool", |n| {
                let mut pool = LocalPool::new();
                let spawner = pool.spawner();
                let spawn = move |task| spawner.spawn_local(task).expect("it runs");
                pool.run_until(grown(n, spawn, waits))
            }),
        ],
    );
}

/// Who is to be woken.
type Wakers = Rc<RefCell<Vec<Waker>>>;

/// By how many bytes the memory has grown when `n` tasks are there and have been polled.
async fn grown<F: Future>(n: u64, spawn: impl Fn(F), task: impl Fn(Wakers) -> F) -> i64 {
    let wakers = Wakers::new(RefCell::new(Vec::with_capacity(n as usize)));
    let before = resident();
    (0..n).for_each(|_| spawn(task(wakers.clone())));
    while wakers.borrow().len() < n as usize {
        under_await::ch01_future::yield_now().await;
    }
    resident() - before
}

/// How many bytes of memory this process has, when the allocator has given back what it can.
fn resident() -> i64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: it concerns memory that nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).map_or(0, |pages| pages.parse::<i64>().expect("a number") * 4096)
}

/// Has 64 bytes of its own, leaves its waker, and is never ready.
async fn waits(wakers: Wakers) {
    let bytes = black_box([0_u64; 8]);
    let mut left = false;
    poll_fn(|cx| {
        if !std::mem::replace(&mut left, true) {
            wakers.borrow_mut().push(cx.waker().clone());
        }
        Poll::<()>::Pending
    })
    .await;
    black_box(bytes);
}
