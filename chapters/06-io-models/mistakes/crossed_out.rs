// [overwritten] flags_are_added
//
// Turns the flag over instead of setting it: `^` for `|`. The first time that is the same, and the second
// time the flag is gone.

pub mod extend {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};

    pub use super::super::super::super::reference::subject::extend::*;

    pub fn add_flags(fd: &impl AsFd, flags: libc::c_int) -> io::Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: `fd` is borrowed, and `F_GETFL` takes no argument.
        let before = under_await::sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
        // SAFETY: `fd` is borrowed, and `F_SETFL` takes flags.
        under_await::sys::call("fcntl", || unsafe { libc::fcntl(fd, libc::F_SETFL, before ^ flags) })?;
        Ok(())
    }
}
