//! Both backends of the reactor, one after the other.

use std::time::Duration;

use under_await::ch08_poll::{ByPoll, BySelect, ask_by};

use super::within;

/// Runs `f` twice, each time on a new thread and `within` the limit: once on a reactor that asks the
/// kernel by poll(2), once on one that asks by select(2). `f` is told the name of the call.
pub fn on_both(limit: Duration, f: fn(&'static str)) {
    within(limit, move || {
        ask_by(Box::new(ByPoll)).expect("the pipe can be watched");
        f("poll");
    });
    within(limit, move || {
        ask_by(Box::new(BySelect)).expect("the pipe can be watched");
        f("select");
    });
}
