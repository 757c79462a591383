//! The façade as a runtime among others: ten tests that know only `block_on` and `spawn`, on either
//! backend of the reactor, and on `futures`' `LocalPool`, which shows that the tests ask for no more
//! than is usual.

#![cfg(all(unix, not(miri)))] // Miri has no poll(2).

use std::cell::RefCell;
use std::future::Future;

use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt;

use under_await::ch08_poll::{ByPoll, BySelect, ask_by};

#[allow(unreachable_pub)]
#[path = "conformance/rows.rs"]
mod rows;

struct UnderAwaitByPoll;

impl rows::Runtime for UnderAwaitByPoll {
    fn block_on<F: Future<Output: 'static> + 'static>(future: F) -> F::Output {
        ask_by(Box::new(ByPoll)).expect("the pipe can be watched");
        under_await::block_on(future)
    }

    fn spawn<F: Future<Output = ()> + 'static>(future: F) {
        under_await::spawn(future);
    }
}

struct UnderAwaitBySelect;

impl rows::Runtime for UnderAwaitBySelect {
    fn block_on<F: Future<Output: 'static> + 'static>(future: F) -> F::Output {
        ask_by(Box::new(BySelect)).expect("the pipe can be watched");
        under_await::block_on(future)
    }

    fn spawn<F: Future<Output = ()> + 'static>(future: F) {
        under_await::spawn(future);
    }
}

thread_local! {
    static SPAWNER: RefCell<Option<LocalSpawner>> = const { RefCell::new(None) };
}

struct Futures;

impl rows::Runtime for Futures {
    fn block_on<F: Future<Output: 'static> + 'static>(future: F) -> F::Output {
        let mut pool = LocalPool::new();
        SPAWNER.set(Some(pool.spawner()));
        pool.run_until(future)
    }

    fn spawn<F: Future<Output = ()> + 'static>(future: F) {
        let spawner = SPAWNER.with_borrow(Clone::clone).expect("inside of `block_on`");
        spawner.spawn_local(future).expect("the pool is there");
    }
}

rows::conformance!(by_poll: UnderAwaitByPoll, by_select: UnderAwaitBySelect, local_pool: Futures);
