//! A time limit for tests outside the exam: what can hang runs `within` it.

use std::panic;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use under_await::ledger::Ledger;

use super::{scaled, story};

/// Runs `f` on a thread of its own, with a ledger open, and returns what it returns. If that takes
/// longer than `limit`, panics with what happened up to then, and leaves the thread behind.
pub fn within<T: Send + 'static>(limit: Duration, f: impl FnOnce() -> T + Send + 'static) -> T {
    let limit = scaled(limit);
    let ledger = Ledger::open();
    let attached = ledger.clone();
    let (finished, finish) = mpsc::channel();
    let runner = thread::spawn(move || {
        attached.attach();
        let output = f();
        let _ = finished.send(());
        output
    });
    // A panic in `f` drops `finished`, and that ends the wait as well.
    if finish.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        let (tag, text) = story::hang(&ledger, limit, None);
        panic!("[{tag}] {text}");
    }
    Ledger::close();
    runner.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}
