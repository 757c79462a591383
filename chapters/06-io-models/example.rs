//! Layer 6 at work: one job, done five ways. With `-- threads`: what chapter 5's way costs. With
//! `-- traps`: what goes wrong.

use std::env;
use std::io;

#[cfg(unix)]
pub(crate) mod table;
#[cfg(unix)]
pub(crate) mod traps;

fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let shown = match env::args().nth(1).as_deref() {
        Some("threads") => table::threads_and_rows(out),
        Some("traps") => traps::show(out),
        _ => table::show(out),
    };
    match shown {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// What the chapter's trace shows.
#[allow(dead_code)] // The test of the book calls it.
pub(crate) fn scene() {
    #[cfg(unix)]
    table::scene();
}

#[cfg(not(unix))]
mod table {
    use std::io::{self, Write};

    pub(crate) fn show(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "These are calls of Unix systems. On Windows they are there under WSL.")
    }

    pub(crate) use show as threads_and_rows;
}

#[cfg(not(unix))]
use table as traps;
