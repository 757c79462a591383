// [crashed] the_handler_allocates_nothing
//
// Makes a text of the signal before it writes. It works in every test, until the signal comes while its
// thread is allocating, and the allocator finds itself half-way through.

pub mod extend {
    use std::io::{self, PipeReader, PipeWriter, Write};
    use std::sync::OnceLock;

    pub use super::super::super::super::reference::subject::extend::*;

    static WRITER: OnceLock<PipeWriter> = OnceLock::new();

    pub struct SelfPipe {
        _reader: PipeReader,
    }

    extern "C" fn handler(signal: libc::c_int) {
        let text = format!("signal {signal}");
        let _ = WRITER.get().map(|mut writer| writer.write_all(text.as_bytes()));
    }

    impl SelfPipe {
        pub fn new(signal: libc::c_int) -> io::Result<Self> {
            let (_reader, writer) = io::pipe()?;
            let _ = WRITER.set(writer);
            let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // SAFETY: the handler takes one argument; what it does is the mistake.
            unsafe { libc::signal(signal, handler) };
            Ok(SelfPipe { _reader })
        }

        // The rest is left out: the check does not come so far.
        pub fn row(&self) -> libc::pollfd {
            libc::pollfd { fd: -1, events: 0, revents: 0 }
        }

        pub fn came(&self) -> io::Result<bool> {
            Ok(false)
        }
    }
}
