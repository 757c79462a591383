// The checks of chapter 1. `subject` is the code under examination.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::support::{Bell, DropToken, Drops, Event, Ledger};
use crate::support::{checks, ensure, fail, ledger, panics, times};
use under_await::ch04_park::block_on;
use under_await::ledger::watch;

use subject::extend::{checksum, map, then, total};
use subject::{Countdown, add_two};

/// Pending `pending` times, each time with a wake, then ready with `value`. It keeps the ledger
/// and knows when it should not have been polled.
struct Number {
    name: &'static str,
    pending: u64,
    value: Option<u32>,
    _token: Option<DropToken>,
}

fn number(name: &'static str, pending: u64, value: u32) -> Number {
    Number { name, pending, value: Some(value), _token: None }
}

/// As [`number`], counted by `drops` when it is dropped.
fn counted(name: &'static str, pending: u64, drops: &Drops) -> Number {
    Number { _token: Some(drops.token()), ..number(name, pending, 1) }
}

impl Future for Number {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let (name, ledger) = (self.name, ledger());
        ledger.record(name, Event::Poll);
        if self.pending > 0 {
            self.pending -= 1;
            ledger.record(name, Event::Wake);
            cx.waker().wake_by_ref();
            ledger.record(name, Event::Pending);
            return Poll::Pending;
        }
        let Some(value) = self.value.take() else {
            fail!("polled-after-ready", "`{name}` was ready, and was polled again.")
        };
        ledger.record(name, Event::Ready);
        Poll::Ready(value)
    }
}

/// Polls `future` by hand until it is ready, and sees to it that each `Pending` comes with a wake.
/// Returns the output and the number of polls.
fn drive<F: Future>(mut future: Pin<&mut F>) -> (F::Output, u64) {
    let (bell, waker) = Bell::new();
    for polls in 1..=5000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, polls);
        }
        if bell.rung() > 0 {
            continue;
        }
        if let Some(entry) = ledger().entries().last().filter(|entry| entry.event == Event::Ready) {
            fail!(
                "out-of-step",
                "`{}` was ready, and the same poll answered `Pending` without going on to what comes \
                 next.",
                entry.who
            );
        }
        fail!(
            "never-woken",
            "Poll {polls} answered `Pending`, and its waker was woken 0 times. 1 is needed: nothing \
             else here will ever wake it."
        );
    }
    fail!("stuck", "It was woken and polled 5000 times, and is still pending.")
}

/// Polls `future` once.
fn step<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Bell::new().1))
}

/// Sees to it that `future`, which has been ready, panics when it is polled again.
fn gives_no_second_answer<F: Future>(future: Pin<&mut F>) {
    let answer = Cell::new("");
    let panic = panics(|| {
        answer.set(if step(future).is_ready() { "Ready" } else { "Pending" });
    });
    let answer = answer.get();
    match panic {
        None => fail!(
            "answered-twice",
            "Polled again after `Ready`, it answered `{answer}`. A panic is needed here, so that \
             whoever polls learns of the mistake."
        ),
        // It was one of the futures inside that panicked, because it was polled again.
        Some(text) if text.starts_with("[polled-after-ready]") => panic!("{text}"),
        Some(_) => {}
    }
}

/// Sees to it that nothing has been polled yet.
fn nothing_has_run() {
    let polls = ledger().count(Event::Poll);
    ensure!(
        polls == 0,
        "ran-too-early",
        "The future was made, and nobody has polled it; a future in it was polled {} already. \
         0 times are right.",
        times(polls)
    );
}

/// Sees to it that `seen` polls were made where `needed` are right.
fn polls(seen: u64, needed: u64) {
    ensure!(
        seen == needed,
        "out-of-step",
        "It was ready at poll {seen}; the async code that it stands for is ready at poll {needed}."
    );
}

/// A ledger for one case of several: what went before is no part of its story.
fn new_page() {
    Ledger::open();
}

checks! {
    /// `Countdown::new(3)` is pending three times, and ready at the fourth poll.
    "1.1" fn pending_as_often_as_it_says() {
        for n in [3, 1, 0] {
            new_page();
            let mut countdown = pin!(watch("countdown", Countdown::new(n)));
            let mut pending = 0;
            let output = loop {
                match step(countdown.as_mut()) {
                    Poll::Ready(output) => break output,
                    Poll::Pending if pending > n => break "",
                    Poll::Pending => pending += 1,
                }
            };
            ensure!(
                pending == n,
                "wrong-result",
                "`Countdown::new({n})` was pending {pending} times; {n} are right."
            );
            ensure!(
                output == "liftoff",
                "wrong-result",
                "The output was {output:?}; \"liftoff\" is right."
            );
        }
    }

    /// Each time a countdown is pending it has woken the waker that it was given.
    "1.1" fn a_wake_for_every_pending() {
        drive(pin!(watch("countdown", Countdown::new(3))));
    }

    /// A countdown that was ready panics when it is polled again.
    "1.1" fn lifts_off_once() {
        let mut countdown = pin!(watch("countdown", Countdown::new(1)));
        drive(countdown.as_mut());
        gives_no_second_answer(countdown);
    }

    /// The output is the sum, whichever of the two has to wait.
    "1.2" fn adds() {
        for (a, b) in [(0, 0), (1, 0), (0, 1), (2, 2)] {
            new_page();
            let (sum, _) = drive(pin!(add_two(number("a", a, 20), number("b", b, 22))));
            ensure!(sum == 42, "wrong-result", "20 + 22 gave {sum}.");
        }
    }

    /// Before the first poll, neither of the two is polled.
    "1.2" fn lazy() {
        let mut sum = pin!(add_two(number("a", 1, 20), number("b", 1, 22)));
        nothing_has_run();
        let _ = step(sum.as_mut());
    }

    /// `b` is not polled while `a` is pending.
    "1.2" fn one_after_the_other() {
        let polled = Cell::new(0);
        let b = std::future::poll_fn(|_| {
            polled.set(polled.get() + 1);
            Poll::Ready(22)
        });
        let mut sum = pin!(add_two(number("a", 1, 20), watch("b", b)));
        let answer = step(sum.as_mut());
        let asked = ledger().entries().iter().filter(|entry| entry.who == "a" && entry.event == Event::Poll).count();
        ensure!(
            asked == 1,
            "busy-poll",
            "`a` was polled {asked} times within one poll of the sum; once is right: it is pending."
        );
        let polled = polled.get();
        ensure!(
            polled == 0 && answer.is_pending(),
            "out-of-step",
            "`a` was pending, so `a.await` was not passed; `b` was polled {} all the same. 0 times \
             are right.",
            times(polled)
        );
    }

    /// When `a` is ready, the same poll goes on to `b`. The number of polls is the async block's.
    "1.2" fn no_gap() {
        for (a, b) in [(0, 0), (1, 0), (0, 1), (2, 3)] {
            new_page();
            let (_, seen) = drive(pin!(add_two(number("a", a, 20), number("b", b, 22))));
            polls(seen, a + b + 1);
        }
    }

    /// After `Ready`, `AddTwo` panics, and polls neither of the two again.
    "1.2" fn adds_once() {
        let mut sum = pin!(add_two(number("a", 0, 20), number("b", 1, 22)));
        drive(sum.as_mut());
        gives_no_second_answer(sum);
    }

    /// Each of the two is dropped once: when it is ready, or with the sum if that comes first.
    "1.2" fn drops_each_once() {
        for (polls, needed) in [(0, (0, 0)), (1, (0, 0)), (2, (1, 0)), (3, (1, 1))] {
            new_page();
            let (a, b) = (Drops::default(), Drops::default());
            let mut sum = Box::pin(add_two(counted("a", 1, &a), counted("b", 1, &b)));
            for _ in 0..polls {
                let _ = step(sum.as_mut());
            }
            let seen = (a.count(), b.count());
            ensure!(
                seen == needed,
                "out-of-step",
                "After {polls} polls, `a` and `b` were dropped {seen:?} times; {needed:?} is right: \
                 a future that is ready is dropped before what stands after its `.await` begins."
            );
            drop(sum);
            let seen = (a.count(), b.count());
            ensure!(
                seen == (1, 1),
                "out-of-step",
                "After {polls} polls the sum was dropped, and then `a` and `b` had been dropped \
                 {seen:?} times; (1, 1) is right."
            );
        }
    }

    /// `f` is called once, with the output, in the poll in which the future is ready.
    "1.3" fn maps() {
        let calls = Cell::new(0);
        let f = |n: u32| {
            calls.set(calls.get() + 1);
            n.to_string()
        };
        let mut mapped = pin!(map(number("a", 2, 42), f));
        nothing_has_run();
        let (output, seen) = drive(mapped.as_mut());
        let calls = times(calls.get());
        ensure!(output == "42", "wrong-result", "`f(42)` is \"42\"; the output was {output:?}.");
        ensure!(calls == "once", "wrong-result", "`f` was called {calls}; once is right.");
        polls(seen, 3);
    }

    /// After `Ready`, `Map` panics, and does not poll its future again.
    "1.3" fn maps_once() {
        let mut mapped = pin!(map(number("a", 1, 20), |n| n + 1));
        drive(mapped.as_mut());
        gives_no_second_answer(mapped);
    }

    /// The second future is made of the output of the first, and its output is the output.
    "1.4" fn then_the_other() {
        let mut chain = pin!(then(number("a", 0, 20), |n| number("b", 0, n + 22)));
        nothing_has_run();
        let (output, _) = drive(chain.as_mut());
        ensure!(output == 42, "wrong-result", "20, and 22 more, gave {output}.");
    }

    /// What `f` makes is polled for the first time in the poll in which `f` is called.
    "1.4" fn then_without_a_gap() {
        for (a, b) in [(0, 0), (1, 0), (0, 1), (2, 3)] {
            new_page();
            let (_, seen) = drive(pin!(then(number("a", a, 20), |n| number("b", b, n))));
            polls(seen, a + b + 1);
        }
    }

    /// After `Ready`, `Then` panics, and polls neither of the two again.
    "1.4" fn then_once() {
        let mut chain = pin!(then(number("a", 0, 20), |n| number("b", 1, n)));
        drive(chain.as_mut());
        gives_no_second_answer(chain);
    }

    /// The output is the sum of all; of none, it is 0.
    "1.5" fn totals() {
        for n in [0, 1, 4] {
            new_page();
            let numbers = (1..=n).map(|value| number("number", u64::from(value % 2), value));
            let (sum, _) = drive(pin!(total(numbers)));
            let right = n * (n + 1) / 2;
            ensure!(sum == right, "wrong-result", "1 to {n} add up to {right}, and not to {sum}.");
        }
    }

    /// Nothing is taken from the iterator before the first poll, nor before its turn.
    "1.5" fn totals_in_turn() {
        let asked = Cell::new(0);
        let numbers = (1..=3).inspect(|_| asked.set(asked.get() + 1));
        let mut sum = pin!(total(numbers.map(|value| number("number", 1, value))));
        ensure!(
            asked.get() == 0,
            "ran-too-early",
            "Nobody has polled, and {} of 3 futures were taken from the iterator; 0 are right.",
            asked.get()
        );
        let _ = step(sum.as_mut());
        ensure!(
            asked.get() == 1,
            "out-of-step",
            "The first of 3 futures is pending, and {} were taken from the iterator; 1 is right.",
            asked.get()
        );
    }

    /// One poll goes round the loop until a future is pending: a thousand times if need be.
    "1.5" fn totals_without_a_gap() {
        let (_, seen) = drive(pin!(total((0..1000).map(|_| number("number", 0, 1)))));
        polls(seen, 1);
        new_page();
        let mixed = [0, 2, 0, 1].map(|pending| number("number", pending, 1));
        let (_, seen) = drive(pin!(total(mixed.into_iter())));
        polls(seen, 4);
    }

    /// After `Ready`, `Total` panics.
    "1.5" fn totals_once() {
        let mut sum = pin!(total([number("a", 0, 20), number("b", 1, 22)].into_iter()));
        drive(sum.as_mut());
        gives_no_second_answer(sum);
    }

    /// Under a `block_on` that sleeps until it is woken, the sum gets done.
    "1.6" fn under_a_block_on_that_sleeps() {
        let sum = block_on(watch("checksum", checksum(vec![2; 2500])));
        ensure!(sum == 5000, "wrong-result", "2500 twos add up to 5000, and not to {sum}.");
    }

    /// Each poll adds a thousand bytes, and each `Pending` comes with a wake.
    "1.6" fn a_thousand_at_each_poll() {
        for (bytes, needed) in [(2500, 3), (1001, 2), (1000, 1), (0, 1)] {
            new_page();
            let (sum, seen) = drive(pin!(watch("checksum", checksum(vec![1; bytes]))));
            ensure!(
                sum == bytes as u64,
                "wrong-result",
                "{bytes} ones add up to {bytes}, and not to {sum}."
            );
            ensure!(
                seen == needed,
                "wrong-result",
                "{bytes} bytes, a thousand at each poll, take {needed} polls, and not {seen}."
            );
        }
    }

    /// After `Ready`, `Checksum` panics.
    "1.6" fn sums_up_once() {
        let mut sum = pin!(watch("checksum", checksum(vec![1; 1500])));
        drive(sum.as_mut());
        gives_no_second_answer(sum);
    }
}
