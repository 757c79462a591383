//! Layer 5 in every order of its steps: `src/ch05_handoff.rs` itself, compiled against the model in
//! `support/schedules.rs`, which stops whenever a lock is about to be taken.
//!
//! In this crate, `std` is this crate: all of the real one, with the model's lock in place of its
//! own. (What a `use` names hides what a glob brings along.)

#![cfg(not(miri))] // Thousands of threads, one after the other.

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with the model's lock.
pub mod sync {
    pub use real_std::sync::*;

    pub use crate::support::schedules::model::Mutex;
}

use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ch05_handoff::{Receiver, RecvError, WakerCell, oneshot};
use support::schedules::{Orders, actor, every_order, point, wait_until};
use support::{Bell, Drops, within};

#[path = "../src/ch05_handoff.rs"]
#[allow(dead_code, unreachable_pub)]
mod ch05_handoff;
mod support;

/// A lock that is held twice hangs outside of the play as well.
const LIMIT: Duration = Duration::from_secs(60);

// ── The layer ──

/// Invariant 1. The receiver sleeps only if the sender is going to wake it, and gets the value.
#[test]
fn a_value_arrives_in_every_order() {
    none_is_bad("poll until ready, send", || {
        let (sender, receiver) = oneshot();
        let receiver = actor("receiver", move || assert_eq!(sleep_until_ready(receiver), Ok(7)));
        vec![receiver, actor("sender", move || assert_eq!(sender.send(7), Ok(())))]
    });
}

/// Invariants 1 and 4. The same for a sender that goes away.
#[test]
fn a_sender_goes_away_in_every_order() {
    none_is_bad("poll until ready, drop the sender", || {
        let (sender, receiver) = oneshot::<u32>();
        let wait = move || assert_eq!(sleep_until_ready(receiver), Err(RecvError));
        vec![actor("receiver", wait), actor("sender", move || drop(sender))]
    });
}

/// Invariant 2. Polled in one task, it moves into another one: that one sleeps, and is woken.
#[test]
fn a_receiver_moves_in_every_order() {
    none_is_bad("poll, move, poll until ready, send", || {
        let (sender, mut receiver) = oneshot();
        let receiver = actor("receiver", move || {
            let (_, elsewhere) = Bell::new();
            match poll(&mut receiver, &elsewhere) {
                Poll::Ready(output) => assert_eq!(output, Ok(7)),
                Poll::Pending => assert_eq!(sleep_until_ready(receiver), Ok(7)),
            }
        });
        vec![receiver, actor("sender", move || assert_eq!(sender.send(7), Ok(())))]
    });
}

/// Invariant 4. The value is taken, or given back, or dropped with the channel: once in every order.
#[test]
fn a_receiver_goes_away_in_every_order() {
    none_is_bad("poll, drop the receiver, send", || {
        let (sender, mut receiver) = oneshot();
        let drops = Drops::default();
        let token = drops.token();
        let gone = Arc::new(AtomicBool::new(false));
        let receiver = actor("receiver", {
            let gone = gone.clone();
            move || {
                let _ = poll(&mut receiver, Waker::noop());
                drop(receiver);
                gone.store(true, SeqCst);
            }
        });
        let sender = actor("sender", move || {
            point("look whether it has gone");
            let had_gone = gone.load(SeqCst);
            let given_back = sender.send(token).is_err();
            assert!(given_back || !had_gone, "the receiver had gone, and the value as well");
            wait_until("wait for the other side", move || gone.load(SeqCst));
            assert!(drops.count() == 1, "given back: {given_back}, dropped {}", drops.count());
        });
        vec![receiver, sender]
    });
}

/// The cell, as its doc says to use it: leave the waker, then look; set, then wake.
#[test]
fn a_cell_loses_no_wake_in_any_order() {
    none_is_bad("leave, look; set, wake", || {
        let shared = Arc::new((AtomicBool::new(false), WakerCell::new()));
        let waits = actor("waits", {
            let shared = shared.clone();
            move || {
                let (bell, waker) = Bell::new();
                loop {
                    shared.1.register(&waker);
                    point("look");
                    if shared.0.load(SeqCst) {
                        return;
                    }
                    let alarm = bell.clone();
                    wait_until("sleep", move || alarm.is_rung());
                    bell.rung();
                }
            }
        });
        let sets = actor("sets", move || {
            point("set");
            shared.0.store(true, SeqCst);
            shared.1.wake();
        });
        vec![waits, sets]
    });
}

// ── What the layer avoids ──

/// A leaf future that looks and then keeps its waker, against one that keeps and then looks. The
/// chapter shows what this test reports.
#[test]
fn look_then_keep_loses_a_wake_in_one_of_five_orders() {
    let bad = leaf(|leaf| {
        if leaf.look() {
            return true;
        }
        leaf.keep();
        false
    });
    let good = leaf(|leaf| {
        leaf.keep();
        leaf.look()
    });
    let locked = leaf(|leaf| {
        point("lock, look, keep, unlock");
        let done = leaf.done.load(SeqCst);
        leaf.kept.store(!done, SeqCst);
        done
    });
    assert_eq!((bad.total, bad.bad.len()), (5, 1));
    assert_eq!((good.total, good.bad.len()), (6, 0));
    assert_eq!(locked.bad.len(), 0);
    let report = format!(
        "look, then keep:  {}\nkeep, then look:  {}\nboth in one step: {}\n\nThe one that hangs:\n\n{}\n",
        said(&bad),
        said(&good),
        said(&locked),
        bad.bad[0],
    );
    println!("{report}");
    shown_in_the_chapter("orders.txt", &report);
}

/// What a leaf and its completer share, in steps that have a name for the reader.
#[derive(Default)]
struct Leaf {
    done: AtomicBool,
    kept: AtomicBool,
    woken: AtomicBool,
}

impl Leaf {
    fn look(&self) -> bool {
        point("look");
        self.done.load(SeqCst)
    }

    fn keep(&self) {
        point("keep the waker");
        self.kept.store(true, SeqCst);
    }
}

/// Plays one poll, and the sleep after it if there is one, against whoever completes the leaf.
fn leaf(poll: fn(&Leaf) -> bool) -> Orders {
    every_order(|| {
        let leaf = Arc::new(Leaf::default());
        let completes = actor("completer", {
            let leaf = leaf.clone();
            move || {
                point("set `done`");
                leaf.done.store(true, SeqCst);
                point("wake whoever is kept");
                leaf.woken.store(leaf.kept.load(SeqCst), SeqCst);
            }
        });
        let polls = actor("poll", move || {
            if !poll(&leaf) {
                wait_until("sleep", move || leaf.woken.load(SeqCst));
            }
        });
        vec![polls, completes]
    })
}

// ── The players ──

/// Polls once.
fn poll<T>(receiver: &mut Receiver<T>, waker: &Waker) -> Poll<Result<T, RecvError>> {
    Pin::new(receiver).poll(&mut Context::from_waker(waker))
}

/// Polls until it is ready, and sleeps in between until it is woken.
fn sleep_until_ready<F: Future>(future: F) -> F::Output {
    let (bell, waker) = Bell::new();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let alarm = bell.clone();
        wait_until("sleep", move || alarm.is_rung());
        assert_eq!(bell.rung(), 1);
    }
}

// ── The reports ──

/// Plays every order, and wants none that hangs or panics.
fn none_is_bad(what: &'static str, actors: fn() -> Vec<support::schedules::Actor>) {
    let orders = within(LIMIT, move || every_order(actors));
    println!("{what}: {}", said(&orders));
    assert!(orders.total > 1, "{what}: the two sides never meet");
    if let Some(order) = orders.bad.first() {
        panic!("{what}: {}, one of them:\n\n{order}", said(&orders));
    }
}

fn said(orders: &Orders) -> String {
    match orders.bad.len() {
        0 => format!("of {} orders none hangs", orders.total),
        1 => format!("of {} orders 1 hangs", orders.total),
        bad => format!("of {} orders {bad} hang", orders.total),
    }
}

/// `BLESS=1 cargo test --test orders_ch05` writes the file anew.
fn shown_in_the_chapter(file: &str, report: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("chapters/05-handoff").join(file);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, report).unwrap();
    }
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, report, "{file} is stale: BLESS=1 cargo test --test orders_ch05");
}
