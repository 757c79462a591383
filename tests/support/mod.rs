//! What the exercises are examined with: checks, futures that keep a diary, and a watchdog that
//! reads it.
//!
//! A check is an ordinary function that panics when it is not satisfied. For a reader's code it
//! runs in a process of its own, because wrong async code hangs, spins and, with `unsafe`, crashes:
//! whatever it does, the reader reads a sentence and keeps a terminal.

#![allow(dead_code, unused_imports, unused_macros, unreachable_pub)]

pub mod allocations;
pub mod ball;
pub mod clock;
pub mod cloning;
pub mod counts;
#[cfg(unix)]
pub mod cuts;
pub mod exam;
pub mod faults;
pub mod futures;
pub mod heard;
pub mod memory;
#[cfg(unix)]
pub mod net;
pub mod process;
pub mod random;
#[cfg(unix)]
pub mod reactors;
pub mod schedules;
#[cfg(unix)]
pub mod signals;
pub mod story;
pub mod waiting;
pub mod watchdog;

pub use allocations::{allocated_bytes, allocations};
pub use ball::ball_game;
pub use clock::thread_cpu_time;
pub use cloning::{cloning, dropping};
pub use counts::{many, times};
pub use exam::{Check, Verdict, exam, if_it_sleeps, panics, verdicts};
pub use futures::*;
pub use memory::{Memory, memory};
pub use process::in_a_process;
pub use random::Random;
#[cfg(unix)]
pub use reactors::on_both;
#[cfg(unix)]
pub use signals::interruptions;
pub use under_await::ledger::{Event, Ledger};
pub use waiting::{Now, Waiting};
pub use watchdog::within;

/// A suite: `pub const CHECKS`, in the order in which a reader meets them.
///
/// Each check has a rule as its doc comment, the number of the hole it examines, and a body:
///
/// ```ignore
/// checks! {
///     /// A wake that comes before the sleep is not lost.
///     "4.2" fn a_wake_before_the_sleep() { … }
/// }
/// ```
///
/// `"4.3" with "4.1" "4.2" fn …` says that it runs through two other holes as well.
macro_rules! checks {
    ($(
        #[doc = $rule:literal]
        $hole:literal $(with $($with:literal)+)? fn $name:ident() $body:block
    )*) => {
        $( #[doc = $rule] fn $name() $body )*

        /// The checks of this suite, in order.
        pub const CHECKS: &[$crate::support::Check] = &[ $( $crate::support::Check {
            hole: $hole,
            with: &[$($($with),+)?],
            name: stringify!($name),
            rule: $rule,
            run: $name,
        } ),* ];
    };
}
pub(crate) use checks;

/// Ends the check: `fail!("tag", "what was seen and what is needed")`. The tag leads to the rule.
macro_rules! fail {
    ($tag:literal, $($seen:tt)+) => {
        panic!("[{}] {}", $tag, format_args!($($seen)+))
    };
}
pub(crate) use fail;

/// Ends the check unless the condition holds: `ensure!(polls <= 3, "busy-poll", "{polls} polls")`.
macro_rules! ensure {
    ($holds:expr, $tag:literal, $($seen:tt)+) => {
        if !$holds {
            $crate::support::fail!($tag, $($seen)+);
        }
    };
}
pub(crate) use ensure;

/// The ledger of the running check.
pub fn ledger() -> Ledger {
    Ledger::current().unwrap_or_else(Ledger::open)
}

/// Runs every check here and now: for code that is known to be right, and under Miri. One list at a
/// time, for some checks count the processor time of the whole process.
pub fn pass_all(checks: &[Check]) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for check in checks {
        println!("{} {}", check.hole, check.name);
        Ledger::open();
        (check.run)();
        Ledger::close();
    }
}

/// `limit`, times what `UNDER_AWAIT_TIME_SCALE` says: for machines that are slow or busy.
pub fn scaled(limit: std::time::Duration) -> std::time::Duration {
    let scale = std::env::var("UNDER_AWAIT_TIME_SCALE").ok().and_then(|scale| scale.parse().ok());
    limit.mul_f64(scale.unwrap_or(1.0))
}
