// [slept-through] a_signal_before_the_sleep
//
// The handler sets a flag, and the loop looks at it before it sleeps. A signal that comes between
// the look and the sleep has set its flag, and nobody looks again before something else ends the
// sleep.

pub mod extend {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    pub use super::super::super::super::reference::subject::extend::*;

    static CAME: AtomicBool = AtomicBool::new(false);

    pub struct SelfPipe {
        inner: super::super::super::super::reference::subject::extend::SelfPipe,
    }

    extern "C" fn handler(_: libc::c_int) {
        CAME.store(true, Ordering::Relaxed);
    }

    impl SelfPipe {
        pub fn new(signal: libc::c_int) -> io::Result<Self> {
            let inner = super::super::super::super::reference::subject::extend::SelfPipe::new(signal)?;
            let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // SAFETY: the handler takes one argument, and stores to an atomic.
            unsafe { libc::signal(signal, handler) };
            Ok(SelfPipe { inner })
        }

        pub fn row(&self) -> libc::pollfd {
            self.inner.row()
        }

        pub fn came(&self) -> io::Result<bool> {
            Ok(CAME.swap(false, Ordering::Relaxed))
        }
    }
}
