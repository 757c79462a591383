// [wrong-result] flags_are_added
//
// Reads and sets the flags of the descriptor, `F_GETFD` and `F_SETFD`. There is one of those, `FD_CLOEXEC`;
// what else is set there the kernel passes over without a word.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};

    use under_await::sys;

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn add_flags(fd: &impl AsFd, flags: libc::c_int) -> io::Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: `fd` is borrowed, and `F_GETFD` takes no argument.
        let before = sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
        // SAFETY: `fd` is borrowed, and `F_SETFD` takes flags.
        sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_SETFD, before | flags) })?;
        Ok(())
    }
}
