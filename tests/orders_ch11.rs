//! Layer 11 in every order of its steps: `src/ch11_task.rs` itself, compiled against the model in
//! `support/schedules.rs`, and examined as a reader's file is. That what the check turns down is wrong,
//! its mistakes prove; here, that it lets the layer pass.
//!
//! In this crate, `std` is this crate: all of the real one, with the model's atomics in place of its
//! own. (What a `use` names hides what a glob brings along.)

#![cfg(all(unix, not(miri)))] // poll(2), and hundreds of threads, one after the other.

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with the model's atomics.
pub mod sync {
    pub use real_std::sync::*;

    /// `std::sync::atomic`, with the model's.
    pub mod atomic {
        pub use real_std::sync::atomic::*;

        pub use crate::support::schedules::model::{AtomicBool, AtomicU8};
    }
}

use support::within;
use under_await::{budget, ch03_waker, ch05_handoff, ch08_poll, ch09_timer};

#[path = "../src/ch11_task.rs"]
#[allow(dead_code, unreachable_pub)]
mod ch11_task;
mod support;

/// The layer as a reader would have written it.
#[allow(dead_code, unreachable_pub)]
mod subject {
    pub use crate::ch11_task::*;

    pub mod extend {
        include!("../chapters/11-task/extend.rs");
    }
}

#[allow(unused, unreachable_pub)]
mod examine {
    use crate::subject;
    include!("suites/11_task.rs");

    #[test]
    fn every_order_of_two_wakes_goes_well() {
        crate::within(crate::LIMIT, || {
            let orders = play_a_task(News::is_known);
            assert!(orders.total > 10, "{} orders: nothing was played", orders.total);
            every_order_of_two_wakes();
        });
    }
}

/// Far more than it takes.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
