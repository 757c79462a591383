//! A system call that is announced, beside the bare one: what the ground costs when nobody listens.

use std::hint::black_box;

use under_await::sys;

use crate::table::{compare, timed};

pub(crate) fn measure() {
    compare(
        "a system call, announced (layer 6)",
        "ns",
        200_000,
        vec![
            timed("under_await", |n| {
                for _ in 0..n {
                    black_box(sys::call("getppid", parent).expect("it cannot fail"));
                }
            }),
            timed("by hand: the bare call", |n| {
                for _ in 0..n {
                    black_box(parent());
                }
            }),
        ],
    );
}

/// A system call that does next to nothing.
fn parent() -> libc::pid_t {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::getppid() }
}
