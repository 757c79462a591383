//! Layer 13 in every order of its steps: `src/ch13_race.rs` itself, compiled against the model's lock in
//! `support/schedules.rs`, and examined as a reader's file is. That what the check turns down is wrong,
//! its mistake proves; here, that it lets the layer pass.
//!
//! In this crate, `std` is this crate: all of the real one, with the model's lock in place of its own.
//! (What a `use` names hides what a glob brings along.)

#![cfg(all(unix, not(miri)))] // poll(2), and threads, one after the other.

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with the model's lock.
pub mod sync {
    pub use real_std::sync::*;

    pub use crate::support::schedules::model::Mutex;
}

use std::time::Duration;

use support::within;
use under_await::ch05_handoff;

#[path = "../src/ch13_race.rs"]
#[allow(dead_code, unreachable_pub)]
mod ch13_race;
mod support;

/// The layer as a reader would have written it.
#[allow(dead_code, unreachable_pub)]
mod subject {
    pub use crate::ch13_race::*;

    pub mod extend {
        include!("../chapters/13-race/extend.rs");
    }
}

#[allow(unused, unreachable_pub)]
mod examine {
    use crate::subject;
    include!("suites/13_race.rs");

    #[test]
    fn a_cancel_comes_in_every_order() {
        crate::within(crate::LIMIT, || {
            let orders = every_order(|| cancels(false));
            assert!(orders.total > 5, "{} orders: nothing was played", orders.total);
            cancelled_in_every_order();
        });
    }
}

/// Far more than it takes.
const LIMIT: Duration = Duration::from_secs(60);
