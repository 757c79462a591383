// [wrong-result] a_refusal_is_an_error
//
// Makes both calls and looks at neither result. If `F_GETFL` fails, its -1 is all flags at once.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn add_flags(fd: &impl AsFd, flags: libc::c_int) -> io::Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: `fd` is borrowed, and `F_GETFL` takes no argument.
        let before = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        // SAFETY: `fd` is borrowed, and `F_SETFL` takes flags.
        unsafe { libc::fcntl(fd, libc::F_SETFL, before | flags) };
        Ok(())
    }
}
