//! # Layer 8 · a reactor on `poll(2)`
//!
//! **Before.** `ch07_select` sleeps in the kernel, and counts to 1,023 there. It knows descriptors
//! by their numbers, which the kernel gives away again; and to wake it from another thread costs a
//! system call each time, sleeping or not.
//!
//! **Idea.** A table in our own memory, a row for each descriptor: to wait is to write into the row.
//! The kernel reads the table when the thread sleeps and says which rows are ready.
//!
//! **Invariants.**
//! 1. *Interest while somebody waits:* a row is watched in a direction while a waker stands there.
//! 2. *One row each:* however often it is polled, a descriptor has one row and two wakers at most.
//! 3. *No stray wake:* a key says which generation of its row it is for; an old one opens nothing.
//! 4. *Released, then woken:* no borrow of the reactor is alive while a waker runs.
//! 5. *A wake ends the sleep:* from any thread, and costs a system call only if there is a sleep.
//!
//! **Still wrong.** It knows descriptors, but not time: a future cannot say when it wants to go on.
//! The next layer, the timers, gives the sleep an end.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::env;
use std::future::poll_fn;
use std::io;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
