// What chapter 7 asks beyond its layer.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use super::{FdSet, select};

/// Sleeps until a read from `io` would not wait, or `limit` has passed: whether the former. With a
/// limit of 0 it looks, and does not sleep.
///
/// # Errors
/// What `select` says, except that a signal is no error.
pub fn readable_within(io: &impl AsFd, limit: Duration) -> io::Result<bool> {
    let fd = io.as_fd().as_raw_fd();
    // None if the clock does not count so far: then there is no end to the wait.
    let deadline = Instant::now().checked_add(limit);
    // ANCHOR: todo_7_4 `select`, and again after a signal, with the time that is left
    loop {
        let mut reads = FdSet::new();
        reads.insert(fd)?;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match select(&mut reads, &mut FdSet::new(), left) {
            Ok(ready) => return Ok(ready > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // ANCHOR_END: todo_7_4
}

/// Reads all of `pipes` to their ends, sleeping in `select` between the reads, and returns the bytes
/// in the order in which they came.
///
/// # Errors
/// What `select` and the reads say.
pub fn gather(pipes: Vec<PipeReader>) -> io::Result<Vec<u8>> {
    // ANCHOR: todo_7_5 what `gather_in_one_set` below is meant to do
    let (mut pipes, mut bytes) = (pipes, Vec::new());
    while !pipes.is_empty() {
        let mut reads = FdSet::new();
        pipes.iter().try_for_each(|pipe| reads.insert(pipe.as_raw_fd()))?;
        match select(&mut reads, &mut FdSet::new(), None) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let mut buffer = [0; 64];
        for mut pipe in std::mem::take(&mut pipes) {
            let ready = reads.contains(pipe.as_raw_fd());
            let length = if ready { pipe.read(&mut buffer)? } else { 0 };
            bytes.extend(&buffer[..length]);
            // Ready and nothing to read: that one is at its end.
            if !ready || length > 0 {
                pipes.push(pipe);
            }
        }
    }
    Ok(bytes)
    // ANCHOR_END: todo_7_5
}

/// The version to mend. It makes its set once, and asks again with what is left of it.
///
/// # Errors
/// What `select` and the reads say.
pub fn gather_in_one_set(mut pipes: Vec<PipeReader>) -> io::Result<Vec<u8>> {
    let (mut bytes, mut ended) = (Vec::new(), 0);
    let mut reads = FdSet::new();
    pipes.iter().try_for_each(|pipe| reads.insert(pipe.as_raw_fd()))?;
    while ended < pipes.len() {
        select(&mut reads, &mut FdSet::new(), None)?;
        for pipe in &mut pipes {
            if reads.contains(pipe.as_raw_fd()) {
                let mut buffer = [0; 64];
                let length = pipe.read(&mut buffer)?;
                bytes.extend(&buffer[..length]);
                ended += usize::from(length == 0);
            }
        }
    }
    Ok(bytes)
}
