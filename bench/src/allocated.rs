//! How much memory a task takes that waits.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::future::poll_fn;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Poll, Waker};

use async_executor::LocalExecutor;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use tokio::task::LocalSet;

use crate::table::{compare, counted};

/// The system's allocator, with a count of what it has given out.
struct Counting;

/// How many bytes there are.
static BYTES: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code)]
// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

pub(crate) fn measure() {
    let tokio = &crate::tasks::tokio();
    compare(
        "a task that waits, with 64 bytes of its own (layer 11)",
        "bytes",
        10_000,
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
    let before = BYTES.load(Ordering::Relaxed);
    (0..n).for_each(|_| spawn(task(wakers.clone())));
    while wakers.borrow().len() < n as usize {
        under_await::ch01_future::yield_now().await;
    }
    BYTES.load(Ordering::Relaxed) - before
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
