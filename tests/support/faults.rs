//! System calls that fail when they are told to, and who hears of it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use under_await::ledger::Ledger;
use under_await::sys::{self, Faults};

use super::{ledger, scaled};

/// Of the first eight calls of `errors`' first name, only number `at` fails, counted from 0. What comes
/// after them may fail as well.
pub fn only(at: usize, errors: &'static [(&'static str, i32)]) -> Faults {
    let ledger = ledger();
    Ledger::close();
    let fails = |faults| {
        sys::inject(Some(faults));
        let calls = (0..8).map(|_| sys::attempt(errors[0].0, || Ok(())).is_err());
        calls.collect::<Vec<_>>()
    };
    let needed = (0..8).map(|call| call == at).collect::<Vec<_>>();
    // Far from each other: neighbours begin alike.
    let seeds = (1_u64..).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut all = seeds.map(|seed| Faults { seed, one_in: 8, errors, short: false });
    let found = all.find(|faults| fails(*faults) == needed).expect("there are seeds enough");
    sys::inject(None);
    ledger.attach();
    found
}

/// All calls of these names fail.
pub fn all(errors: &'static [(&'static str, i32)]) -> Faults {
    Faults { seed: 7, one_in: 1, errors, short: false }
}

/// What `f` gives on a thread on which `faults` happen; `None` if it does not come to an end.
pub fn with_faults<T: Send + 'static>(
    faults: Faults,
    f: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (ledger, (given, gives)) = (ledger(), mpsc::channel());
    thread::spawn(move || {
        ledger.attach();
        sys::inject(Some(faults));
        let _ = given.send(f());
    });
    gives.recv_timeout(scaled(Duration::from_millis(1000))).ok()
}
