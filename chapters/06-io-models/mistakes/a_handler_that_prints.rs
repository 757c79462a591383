// [crashed] the_handler_locks_nothing
//
// Says on the standard output that the signal came. It works in every test, until the signal comes while its
// thread prints, or waits for another one that does.

pub mod extend {
    use std::io::{self, PipeReader};
    use std::os::fd::{AsRawFd, IntoRawFd};
    use std::sync::atomic::{AtomicI32, Ordering};

    use under_await::sys;

    pub use super::super::super::super::reference::subject::extend::*;
    use super::super::super::super::reference::subject::{Answer, ask};

    static WRITER: AtomicI32 = AtomicI32::new(-1);

    pub struct SelfPipe {
        reader: PipeReader,
    }

    extern "C" fn handler(_signal: libc::c_int) {
        // SAFETY: it points to this thread's `errno`.
        let before = unsafe { *errno() };
        println!("a signal");
        // SAFETY: the byte is a constant.
        unsafe { libc::write(WRITER.load(Ordering::Relaxed), b"!".as_ptr().cast(), 1) };
        // SAFETY: as above.
        unsafe { *errno() = before };
    }

    impl SelfPipe {
        pub fn new(signal: libc::c_int) -> io::Result<Self> {
            let (reader, writer) = sys::pipe()?;
            WRITER.store(writer.into_raw_fd(), Ordering::Relaxed);
            let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // SAFETY: the handler takes one argument; what it does is the mistake.
            unsafe { libc::signal(signal, handler) };
            Ok(SelfPipe { reader })
        }

        pub fn row(&self) -> libc::pollfd {
            libc::pollfd { fd: self.reader.as_raw_fd(), events: libc::POLLIN, revents: 0 }
        }

        pub fn came(&self) -> io::Result<bool> {
            let mut bytes = Vec::new();
            while ask(&self.reader, &mut bytes)? == Answer::Bytes {}
            Ok(!bytes.is_empty())
        }
    }
}
