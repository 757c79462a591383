//! The ten rows of `tests/conformance/rows.rs` on tokio and on smol's executor: that they pass there
//! shows that the rows ask for what is usual.

#![cfg(unix)]

use std::cell::RefCell;
use std::rc::Rc;

use async_executor::LocalExecutor;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

#[allow(unreachable_pub)]
#[path = "../../conformance/rows.rs"]
mod rows;

struct Tokio;

impl rows::Runtime for Tokio {
    fn block_on<F: Future<Output: 'static> + 'static>(future: F) -> F::Output {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, future)
    }

    fn spawn<F: Future<Output = ()> + 'static>(future: F) {
        tokio::task::spawn_local(future);
    }
}

thread_local! {
    static EXECUTOR: RefCell<Rc<LocalExecutor<'static>>> = RefCell::default();
}

struct Smol;

impl rows::Runtime for Smol {
    fn block_on<F: Future<Output: 'static> + 'static>(future: F) -> F::Output {
        let executor = Rc::new(LocalExecutor::new());
        EXECUTOR.set(executor.clone());
        async_io::block_on(executor.run(future))
    }

    fn spawn<F: Future<Output = ()> + 'static>(future: F) {
        EXECUTOR.with_borrow(|executor| executor.spawn(future).detach());
    }
}

rows::conformance!(on_tokio: Tokio, on_smol: Smol);
