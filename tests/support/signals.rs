//! Signals that come in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Interrupts this thread `times` times, or until told to stop: every 10 ms, by a signal whose handler
/// does nothing. What stops it says whether that was before the last one.
pub fn interruptions(times: u32) -> impl FnOnce() -> bool {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: an action is integers and a pointer, for which all zeros will do.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // No `SA_RESTART`, though poll(2) and select(2) would be interrupted all the same.
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler takes one argument, as the action says.
    unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    // SAFETY: it takes nothing and cannot fail.
    let sleeper = unsafe { libc::pthread_self() } as usize;
    let stop = Arc::new(AtomicBool::new(false));
    let pest = thread::spawn({
        let stop = stop.clone();
        move || {
            for _ in 0..times {
                thread::sleep(Duration::from_millis(10));
                if stop.load(Ordering::Relaxed) {
                    return true;
                }
                // SAFETY: that thread lives until it has joined this one.
                unsafe { libc::pthread_kill(sleeper as libc::pthread_t, libc::SIGUSR1) };
            }
            false
        }
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        pest.join().unwrap()
    }
}

/// From now on SIGPIPE ends this process, as it does where no `main` of Rust's has ignored it.
pub fn sigpipe_ends_the_process() {
    // SAFETY: `SIG_DFL` is no handler, so nothing of ours runs in it.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
