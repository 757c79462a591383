// [wrong-result] a_refusal_is_an_error
//
// When the flags cannot be read, it goes on as if there were none, and sets those that are new.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn add_flags(fd: &impl AsFd, flags: libc::c_int) -> io::Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: `fd` is borrowed, and `F_GETFL` takes no argument.
        let before = under_await::sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_GETFL) });
        let all = before.unwrap_or(0) | flags;
        // SAFETY: `fd` is borrowed, and `F_SETFL` takes flags.
        under_await::sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_SETFL, all) })?;
        Ok(())
    }
}
