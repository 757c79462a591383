//! Layer 4 in every order of its steps: `src/ch04_park.rs` itself, compiled against the model in
//! `support/schedules.rs`, which stops at each access to a flag and at each park.
//!
//! In this crate, `std` is this crate: all of the real one, with the model's flag and the model's
//! parking in place of its own. (What a `use` names hides what a glob brings along.)

#![cfg(not(miri))] // Thousands of threads, one after the other.

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// `std::sync`, with the model's flag.
pub mod sync {
    pub use real_std::sync::*;

    /// `std::sync::atomic`, with the model's flag.
    pub mod atomic {
        pub use real_std::sync::atomic::*;

        pub use crate::support::schedules::model::AtomicBool;
    }
}

/// `std::thread`, with the model's parking.
pub mod thread {
    pub use real_std::thread::*;

    pub use crate::support::schedules::model::thread::{Thread, current, park};
}

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

use ch04_park::{Parker, block_on};
use support::schedules::{Actor, Orders, actor, every_order, point, wait_until};
use under_await::{ledger, waker_fn};

#[path = "../src/ch04_park.rs"]
#[allow(dead_code, unfulfilled_lint_expectations, unreachable_pub)]
mod ch04_park;
mod support;

/// A flag whose use is no step of its own; where it should be one, a [`point`] stands before it.
type Fact = real_std::sync::atomic::AtomicBool;

// ── The layer ──

/// Invariant 1, the smallest case.
#[test]
fn one_sleep_and_one_wake_go_well_in_every_order() {
    let orders = sleeper_and_wakers(|_, [slot]| {
        let parker = Parker::new();
        slot.put(parker.waker().clone());
        parker.park();
    });
    none_hangs("one sleep, one wake", &orders);
}

/// Invariant 1. A waker that finds the flag set leaves the sleep to the other one.
#[test]
fn one_sleeper_and_two_wakers_go_well_in_every_order() {
    let orders = sleeper_and_wakers(|done, slots: [Slot<Waker>; 2]| {
        let parker = Parker::new();
        slots.iter().for_each(|slot| slot.put(parker.waker().clone()));
        while !done.iter().all(|done| done.load(SeqCst)) {
            parker.park();
        }
    });
    none_hangs("one sleeper, two wakers", &orders);
}

/// Invariants 1 and 2. No order hangs, and none polls more often than it is woken, plus once.
#[test]
fn block_on_goes_well_in_every_order() {
    let orders = sleeper_and_wakers(|[done], slot: [Slot<Waker>; 1]| {
        let mut polls = 0;
        block_on(handing_over(slot, || {
            polls += 1;
            done.load(SeqCst)
        }));
        assert!(polls <= 2, "{polls} polls and one wake");
    });
    none_hangs("block_on, one waker", &orders);

    let orders = sleeper_and_wakers(|done, slots: [Slot<Waker>; 2]| {
        block_on(handing_over(slots, || done.iter().all(|done| done.load(SeqCst))));
    });
    none_hangs("block_on, two wakers", &orders);
    assert_eq!(orders.total, 1606, "the chapter gives this number");
}

/// Invariant 2. Somebody else's `unpark` ends no sleep.
#[test]
fn an_unpark_that_is_not_a_wake_ends_no_sleep_in_any_order() {
    let orders = every_order(|| {
        let woken = Arc::new(Fact::new(false));
        let (for_waker, for_passer_by) = (Slot::<Waker>::default(), Slot::<Thread>::default());
        let waker = actor("waker", {
            let (slot, woken) = (for_waker.clone(), woken.clone());
            move || {
                let waker = slot.take();
                woken.store(true, SeqCst);
                waker.wake();
            }
        });
        let passer_by = actor("passer-by", {
            let slot = for_passer_by.clone();
            move || slot.take().unpark()
        });
        let sleeper = actor("sleeper", move || {
            let parker = Parker::new();
            for_waker.put(parker.waker().clone());
            for_passer_by.put(thread::current());
            parker.park();
            assert!(woken.load(SeqCst), "the sleep is over, and nobody woke");
        });
        vec![sleeper, waker, passer_by]
    });
    none_hangs("a sleep, a wake, an unpark", &orders);
}

/// Invariant 3. The outer future is woken at every moment of the inner call.
#[test]
fn nested_calls_go_well_in_every_order() {
    let orders = sleeper_and_wakers(|[outside, inside], [outer, inner]| {
        let mut inner = Some(inner);
        block_on(handing_over([outer], || {
            let ready = outside.load(SeqCst);
            if let Some(inner) = inner.take() {
                block_on(handing_over([inner], || inside.load(SeqCst)));
            }
            ready
        }));
    });
    none_hangs("block_on in block_on", &orders);
    assert_eq!(orders.total, 3764, "the chapter gives this number");
}

/// Invariant 3. Between its look and its `Pending`, the future parks to wait for a neighbour.
#[test]
fn a_future_that_parks_goes_well_in_every_order() {
    none_hangs("a future that parks", &with_a_future_that_parks(block_on));
}

/// The reader's checks that play orders, on the layer itself: elsewhere it is compiled with std.
#[test]
fn the_checks_of_the_chapter_play_the_layer() {
    for check in chapter::CHECKS.iter().filter(|check| check.name.contains("order")) {
        let start = std::time::Instant::now();
        (check.run)();
        println!("{}: {:?}", check.name, start.elapsed());
    }
}

#[allow(unused, unreachable_pub, unfulfilled_lint_expectations)]
mod chapter {
    mod subject {
        pub(crate) use crate::ch04_park::*;
        pub(crate) mod extend {
            include!("../chapters/04-park/extend.rs");
        }
    }
    include!("suites/04_park.rs");
}

// ── What the layer avoids ──

/// Without a flag, a future that parks swallows the token that was meant for `block_on`.
#[test]
fn parking_without_a_flag_hangs_in_some_orders() {
    let orders = with_a_future_that_parks(|mut future| {
        let sleeper = thread::current();
        let waker = waker_fn(move || sleeper.unpark());
        while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            thread::park();
        }
    });
    some_hang("a future that parks, no flag", &orders);
}

/// What stands between the look at the flag and the park must not park: a line in the ledger, for
/// one, whose lock might. (The chapter gives the numbers.)
#[test]
fn parking_between_the_look_and_the_sleep_hangs_in_some_orders() {
    let orders = every_order(|| {
        let slot = Slot::default();
        let bell = Arc::new(Bell::default());
        let (neighbour, mut wait) = neighbour();
        let waker = actor("waker", {
            let (slot, bell) = (slot.clone(), bell.clone());
            move || bell.ring(&slot.take())
        });
        let sleeper = actor("sleeper", move || {
            slot.put(thread::current());
            while !bell.look() {
                wait();
                thread::park();
            }
        });
        vec![sleeper, waker, neighbour]
    });
    some_hang("a lock between look and park", &orders);
    assert_eq!((orders.total, orders.bad.len()), (41, 20));
}

/// Clearing the flag, polling and parking until the flag is set go round in a circle, and in a
/// circle three things have two orders. The chapter shows what this test reports.
#[test]
fn clearing_between_the_poll_and_the_park_hangs_in_some_orders() {
    let good = circle(Bell::clear, |_| ());
    let bad = circle(|_| (), Bell::clear);
    assert!(good.bad.is_empty());
    let example = bad.bad.first().expect("an order that hangs");
    let report = format!(
        "clear, poll, park: {}\npoll, clear, park: {}; one that hangs:\n\n{example}\n",
        said(&good),
        said(&bad),
    );
    println!("{report}");
    shown_in_the_chapter("orders.txt", &report);
}

/// Plays the circle, given what is done before each poll and what after it.
fn circle(before: fn(&Bell), after: fn(&Bell)) -> Orders {
    every_order(|| {
        let bell = Arc::new(Bell::default());
        let ready = Arc::new(Fact::new(false));
        // The loop sends before its first point, so waiting for it is no step of the play.
        let (give, take) = mpsc::channel();
        let waker = actor("waker", {
            let (bell, ready) = (bell.clone(), ready.clone());
            move || {
                let sleeper = take.recv().expect("it is sent");
                point("make it ready");
                ready.store(true, SeqCst);
                bell.ring(&sleeper);
            }
        });
        let sleeper = actor("loop", move || {
            give.send(thread::current()).expect("it is received");
            loop {
                before(&bell);
                point("poll");
                if ready.load(SeqCst) {
                    return;
                }
                after(&bell);
                while !bell.look() {
                    thread::park();
                }
            }
        });
        vec![sleeper, waker]
    })
}

/// A leaf future that looks whether it is done, and then keeps the waker, misses the end that
/// comes in between. The other way round it does not. (The next layer is about leaves.)
#[test]
fn look_then_keep_loses_a_wake_in_one_of_five_orders() {
    let orders = leaf(|leaf, waker| {
        let ready = leaf.look();
        if !ready {
            leaf.keep(waker);
        }
        ready
    });
    println!("look, then keep: {}\n\n{}", said(&orders), orders.bad[0]);
    assert_eq!((orders.total, orders.bad.len()), (5, 1));

    let orders = leaf(|leaf, waker| {
        leaf.keep(waker);
        leaf.look()
    });
    println!("keep, then look: {}", said(&orders));
    assert_eq!((orders.total, orders.bad.len()), (6, 0));
}

/// A leaf future and what it shares with its timer.
#[derive(Default)]
struct Leaf {
    done: Fact,
    waker: Mutex<Option<Waker>>,
}

impl Leaf {
    fn look(&self) -> bool {
        point("look whether it is done");
        self.done.load(SeqCst)
    }

    fn keep(&self, waker: Waker) {
        point("keep the waker");
        *self.waker.lock().unwrap() = Some(waker);
    }
}

/// Plays one poll, and the sleep after it if there is one, against a timer.
fn leaf(poll: fn(&Leaf, Waker) -> bool) -> Orders {
    every_order(|| {
        let leaf = Arc::new(Leaf::default());
        let timer = actor("timer", {
            let leaf = leaf.clone();
            move || {
                point("set `done`");
                leaf.done.store(true, SeqCst);
                point("wake whoever is kept");
                let kept = leaf.waker.lock().unwrap().take();
                kept.into_iter().for_each(Waker::wake);
            }
        });
        let sleeper = actor("poll", move || {
            let woken = Arc::new(Fact::new(false));
            let waker = waker_fn({
                let woken = woken.clone();
                move || woken.store(true, SeqCst)
            });
            if !poll(&leaf, waker) {
                wait_until("sleep", move || woken.load(SeqCst));
            }
        });
        vec![sleeper, timer]
    })
}

// ── The players ──

/// A place to put something for another actor.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Slot<T> {
    fn put(&self, thing: T) {
        *self.0.lock().unwrap() = Some(thing);
    }

    /// Waits until something is there.
    fn take(self) -> T {
        let there = self.0.clone();
        wait_until("wait for it", move || there.lock().unwrap().is_some());
        self.0.lock().unwrap().take().expect("it is there")
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Slot(self.0.clone())
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot(Arc::default())
    }
}

/// A flag to wake by, in steps that have a name for the reader.
#[derive(Default)]
struct Bell(Fact);

impl Bell {
    fn clear(&self) {
        point("clear the flag");
        self.0.store(false, SeqCst);
    }

    fn look(&self) -> bool {
        point("look at the flag");
        self.0.load(SeqCst)
    }

    fn ring(&self, sleeper: &Thread) {
        point("set the flag");
        self.0.store(true, SeqCst);
        sleeper.unpark();
    }
}

/// Plays `sleep` against `N` wakers, each of which has done its own thing before it wakes.
fn sleeper_and_wakers<const N: usize>(sleep: fn(&[Fact; N], [Slot<Waker>; N])) -> Orders {
    every_order(|| {
        let done = Arc::new([const { Fact::new(false) }; N]);
        let slots = [(); N].map(|()| Slot::<Waker>::default());
        let wakers = slots.clone().into_iter().enumerate().map(|(i, slot)| {
            let done = done.clone();
            actor("waker", move || {
                let waker = slot.take();
                done[i].store(true, SeqCst);
                waker.wake();
            })
        });
        let wakers = wakers.collect::<Vec<_>>();
        let sleeper = actor("sleeper", move || sleep(&done, slots));
        [sleeper].into_iter().chain(wakers).collect()
    })
}

/// Puts its waker into `slots` at the first poll, and is ready when it is `done`.
fn handing_over<const N: usize>(
    slots: [Slot<Waker>; N],
    mut done: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let mut slots = slots.into_iter();
    poll_fn(move |cx| {
        slots.by_ref().for_each(|slot| slot.put(cx.waker().clone()));
        point("poll");
        if done() { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// Plays `run` on a future that parks between its look and its `Pending`.
fn with_a_future_that_parks(run: fn(Pin<Box<dyn Future<Output = ()>>>)) -> Orders {
    every_order(|| {
        let done = Arc::new(Fact::new(false));
        let slot = Slot::default();
        let (neighbour, mut wait) = neighbour();
        let waker = actor("waker", {
            let (done, slot) = (done.clone(), slot.clone());
            move || {
                let waker: Waker = slot.take();
                done.store(true, SeqCst);
                waker.wake();
            }
        });
        let sleeper = actor("sleeper", move || {
            run(Box::pin(handing_over([slot], move || {
                let ready = done.load(SeqCst);
                wait();
                ready
            })));
        });
        vec![sleeper, waker, neighbour]
    })
}

/// Somebody else to park for, and a function that does so, the first time it is called.
fn neighbour() -> (Actor, impl FnMut() + Send) {
    let slot = Slot::default();
    let open = Arc::new(Fact::new(false));
    let neighbour = actor("neighbour", {
        let (slot, open) = (slot.clone(), open.clone());
        move || {
            let waiting: Thread = slot.take();
            open.store(true, SeqCst);
            waiting.unpark();
        }
    });
    let wait = move || {
        slot.put(thread::current());
        while !open.load(SeqCst) {
            thread::park();
        }
    };
    (neighbour, wait)
}

// ── The reports ──

fn said(orders: &Orders) -> String {
    match orders.bad.len() {
        0 => format!("of {} orders none hangs", orders.total),
        1 => format!("of {} orders 1 hangs", orders.total),
        bad => format!("of {} orders {bad} hang", orders.total),
    }
}

fn none_hangs(what: &str, orders: &Orders) {
    println!("{what}: {}", said(orders));
    if let Some(order) = orders.bad.first() {
        panic!("{what}: {}, one of them:\n\n{order}", said(orders));
    }
}

fn some_hang(what: &str, orders: &Orders) {
    let example = orders.bad.first().unwrap_or_else(|| panic!("{what}: {}", said(orders)));
    println!("{what}: {}, one of them:\n\n{example}\n", said(orders));
}

/// `BLESS=1 cargo test --test orders_ch04` writes the file anew.
fn shown_in_the_chapter(file: &str, report: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("chapters/04-park").join(file);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, report).unwrap();
    }
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, report, "{file} is stale: BLESS=1 cargo test --test orders_ch04");
}
