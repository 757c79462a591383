//! A pipe made of loom's mutex and condition variable. Whoever sleeps there sleeps until a byte is in it.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use loom::sync::{Condvar, Mutex};

/// How many bytes there are, and who waits for some.
#[derive(Debug, Default)]
struct Bytes {
    count: Mutex<u32>,
    some: Condvar,
}

/// As std's, as far as it is needed.
#[derive(Debug)]
pub struct PipeReader(Arc<Bytes>);

/// As std's, as far as it is needed.
#[derive(Debug)]
pub struct PipeWriter(Arc<Bytes>);

impl AsRawFd for PipeReader {
    fn as_raw_fd(&self) -> RawFd {
        0
    }
}

impl PipeReader {
    /// Sleeps until there is a byte.
    pub fn wait(&self) {
        let mut count = self.0.count.lock().unwrap();
        while *count == 0 {
            count = self.0.some.wait(count).unwrap();
        }
    }
}

real_std::thread_local! {
    /// The pipe that was made last: the reactor's.
    static LAST: real_std::cell::RefCell<Option<Arc<Bytes>>> = const { real_std::cell::RefCell::new(None) };
}

/// As in the ground.
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let bytes = Arc::new(Bytes::default());
    LAST.set(Some(bytes.clone()));
    Ok((PipeReader(bytes.clone()), PipeWriter(bytes)))
}

/// As in the ground.
pub fn ring(pipe: &PipeWriter) {
    *pipe.0.count.lock().unwrap() += 1;
    pipe.0.some.notify_one();
}

/// As in the ground.
pub fn silence(pipe: &PipeReader) {
    *pipe.0.count.lock().unwrap() = 0;
}

/// What a kernel says that knows the last pipe only: whether there is a byte in it; or, if it may sleep,
/// that there is one, as soon as there is.
pub fn look(may_sleep: bool) -> bool {
    let pipe = PipeReader(LAST.with_borrow(Clone::clone).expect("the reactor has a pipe"));
    if may_sleep {
        pipe.wait();
    }
    *pipe.0.count.lock().unwrap() > 0
}
