//! Layer 14 in every order of its steps: `src/ch14_sync.rs` and its second file themselves, compiled against
//! the model's lock in `support/schedules.rs`, and examined as a reader's file is. That what the checks turn
//! down is wrong, their mistakes prove; here, that they let the layer pass.
//!
//! In this crate, `std` is this crate: all of the real one, with the model's lock in place of its own.
//! (What a `use` names hides what a glob brings along.)

#![cfg(not(miri))] // Threads, one after the other.

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with the model's lock.
pub mod sync {
    pub use real_std::sync::*;

    pub use crate::support::schedules::model::Mutex;
}

use std::time::Duration;

use layers::ch14_sync;
use support::within;
use under_await::{budget, ch01_future, ch05_handoff};

/// Named by its folder, so that its second file is found beside it.
#[path = "../src"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod layers {
    pub mod ch14_sync;
}
mod support;

/// The layer as a reader would have written it.
#[allow(dead_code, unreachable_pub)]
mod subject {
    pub use crate::ch14_sync::*;

    pub mod extend {
        include!("../chapters/14-sync/extend.rs");
    }
}

#[allow(unused, unreachable_pub)]
mod examine {
    use crate::subject;
    include!("suites/14_sync.rs");

    #[test]
    fn every_order_goes_well() {
        crate::within(crate::LIMIT, || {
            let orders = every_order(|| notifies(false, false));
            assert!(orders.total > 5, "{} orders: nothing was played", orders.total);
            called_in_every_order();
            dropped_in_every_order();
            the_end_in_every_order();
            dropped_at_the_gate_in_every_order();
        });
    }
}

/// Far more than it takes.
const LIMIT: Duration = Duration::from_secs(60);
