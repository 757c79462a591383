//! Tasks: spawned and awaited, and polled again and again.

use std::future::ready;
use std::hint::black_box;

use async_executor::LocalExecutor;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use tokio::task::LocalSet;

use crate::table::{compare, timed};

/// A tokio with one thread.
pub(crate) fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(crate) fn measure() {
    let tokio = &tokio();
    compare(
        "spawn, run and await a task, of 100,000 (layer 11)",
        "ns",
        100_000,
        vec![
            timed("under_await", |n| under_await::block_on(spawned(n))),
            timed("tokio, LocalSet", |n| {
                LocalSet::new().block_on(tokio, async {
                    let handles = (0..n).map(|i| tokio::task::spawn_local(ready(i)));
                    for handle in handles.collect::<Vec<_>>() {
                        black_box(handle.await.expect("no panic"));
                    }
                });
            }),
            timed("tokio, current_thread", |n| {
                tokio.block_on(async {
                    let handles = (0..n).map(|i| tokio::spawn(ready(i))).collect::<Vec<_>>();
                    for handle in handles {
                        black_box(handle.await.expect("no panic"));
                    }
                });
            }),
            timed("smol, LocalExecutor", |n| {
                let executor = LocalExecutor::new();
                futures_lite::future::block_on(executor.run(async {
                    let tasks = (0..n).map(|i| executor.spawn(ready(i))).collect::<Vec<_>>();
                    for task in tasks {
                        black_box(task.await);
                    }
                }));
            }),
            timed("futures, LocalPool", |n| {
                let mut pool = LocalPool::new();
                let spawner = pool.spawner();
                pool.run_until(async move {
                    let spawn = |i| spawner.spawn_local_with_handle(ready(i)).expect("it runs");
                    for handle in (0..n).map(spawn).collect::<Vec<_>>() {
                        black_box(handle.await);
                    }
                });
            }),
        ],
    );
    for tasks in [1000, 1] {
        let per_task = 1_000_000 / tasks;
        compare(
            &format!("a task that wakes itself is polled again, {tasks} at a time (layer 11)"),
            "ns",
            1_000_000,
            vec![
                timed("under_await", |_| {
                    under_await::block_on(async {
                        let spawn = |_| under_await::spawn(yields(per_task));
                        for handle in (0..tasks).map(spawn).collect::<Vec<_>>() {
                            handle.await.expect("no panic");
                        }
                    });
                }),
                timed("tokio, current_thread", |_| {
                    tokio.block_on(async {
                        let spawn = |_| tokio::spawn(yields(per_task));
                        for handle in (0..tasks).map(spawn).collect::<Vec<_>>() {
                            handle.await.expect("no panic");
                        }
                    });
                }),
                timed("smol, LocalExecutor", |_| {
                    let executor = LocalExecutor::new();
                    futures_lite::future::block_on(executor.run(async {
                        let spawn = |_| executor.spawn(yields(per_task));
                        for task in (0..tasks).map(spawn).collect::<Vec<_>>() {
                            task.await;
                        }
                    }));
                }),
                timed("futures, LocalPool", |_| {
                    let mut pool = LocalPool::new();
                    let spawner = pool.spawner();
                    pool.run_until(async move {
                        let spawn =
                            |_| spawner.spawn_local_with_handle(yields(per_task)).expect("it runs");
                        for handle in (0..tasks).map(spawn).collect::<Vec<_>>() {
                            handle.await;
                        }
                    });
                }),
            ],
        );
    }
}

/// `n` tasks of ours, and all their results.
async fn spawned(n: u64) {
    let handles = (0..n).map(|i| under_await::spawn(ready(i))).collect::<Vec<_>>();
    for handle in handles {
        black_box(handle.await.expect("no panic"));
    }
}

/// Wakes itself `n` times. Everybody's tasks do it in the same way.
async fn yields(n: u64) {
    for _ in 0..n {
        under_await::ch01_future::yield_now().await;
    }
}
