//! The checks of the exercises, on tokio and on async-io: what a reader is examined by is what the
//! runtimes in use do too. Where they differ by design, the check is left out, and it is said why.

#![cfg(unix)]

use support::exam::{Check, Verdict};
use support::verdicts;

#[path = "../../support/mod.rs"]
mod support;

/// A suite on an adapter: what the adapter does not define is the layer's, or its `extend`'s.
macro_rules! oracle {
    ($adapter:ident: $suite:literal, $layer:ident, $folder:literal, $file:literal) => {
        #[allow(dead_code, unused_imports, unreachable_pub, missing_docs)]
        #[allow(missing_debug_implementations, clippy::all)]
        mod $adapter {
            mod reference {
                pub(super) mod subject {
                    pub use under_await::$layer::*;
                    pub mod extend {
                        include!(oracle!("/../../chapters/", $folder, "/extend.rs"));
                    }
                }
            }
            mod subject {
                pub use super::reference::subject::*;
                include!(oracle!("/adapters/", $file, ".rs"));
            }
            include!(oracle!("/../suites/", $suite, ".rs"));
        }
    };
    ($($part:literal),*) => { concat!(env!("CARGO_MANIFEST_DIR"), $($part),*) };
}

oracle! { tokio_05: "05_handoff", ch05_handoff, "05-handoff", "05_tokio" }
oracle! { tokio_09: "09_timer", ch09_timer, "09-timer", "09_tokio" }
oracle! { async_io_09: "09_timer", ch09_timer, "09-timer", "09_async_io" }
oracle! { async_io_10: "10_net", ch10_net, "10-net", "10_async_io" }

/// Whose, the checks, and those that are not for them.
const SUBJECTS: &[(&str, &[Check], &[&str])] = &[
    ("tokio", tokio_05::CHECKS, &[]),
    (
        "tokio",
        tokio_09::CHECKS,
        &[
            "pending_before_its_deadline", // These three count in our map.
            "polled_ten_thousand_times",
            "dropped_after_a_poll",
            "ready_from_its_deadline_on", // Deadlines are rounded up to the next millisecond.
            "timers_come_and_go_while_others_fire", // Up to 32 wakers are taken, and woken after that.
            "asks_for_the_time_to_the_first_deadline", // These three call our `wait`.
            "one_wait_wakes_all_that_are_due",
            "one_look_at_the_clock",
        ],
    ),
    (
        "async-io",
        async_io_09::CHECKS,
        &[
            "pending_before_its_deadline", // These three count in our map.
            "polled_ten_thousand_times",
            "dropped_after_a_poll",
            "timers_come_and_go_while_others_fire", // All that are due are taken, and woken after that.
            "held_up",                              // The ticker is ours, and so is its timer.
            "asks_for_the_time_to_the_first_deadline", // These three call our `wait`.
            "one_wait_wakes_all_that_are_due",
            "one_look_at_the_clock",
        ],
    ),
    (
        "async-io",
        async_io_10::CHECKS,
        &[
            "the_newest_waker",            // A waker that is replaced is woken as well.
            "waits_for_a_free_descriptor", // The listener is ours, and so are its faults.
            "other_errors_are_returned",
            "what_cannot_be_watched_is_an_error", // It is our reactor that refuses.
            "the_first_that_answers",             // Its attempts are counted in our ledger.
        ],
    ),
];

/// Each in a process of its own, where nothing else uses the processor it measures.
#[test]
fn the_checks_pass_on_the_runtimes_in_use() {
    let mut keys = Vec::new();
    for (who, checks, not_for_them) in SUBJECTS {
        for name in *not_for_them {
            assert!(checks.iter().any(|check| check.name == *name), "there is no check {name}");
        }
        let checks = checks.iter().filter(|check| !not_for_them.contains(&check.name));
        keys.extend(checks.map(|check| (format!("{who}/{}/{}", check.hole, check.name), *check)));
    }
    let verdicts = verdicts("the_checks_pass_on_the_runtimes_in_use", &keys);
    let failed = keys.iter().zip(verdicts).filter(|(_, verdict)| *verdict != Verdict::Pass);
    let failed = failed.map(|((key, _), verdict)| format!("{key}: {verdict:?}"));
    let failed = failed.collect::<Vec<_>>();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
