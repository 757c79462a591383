// The checks of chapter 9. `subject` is the code under examination.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{join, join_all};

use crate::support::{Bell, Event, Ledger, checks, ensure, fail, later, ledger};
use under_await::ledger::watch;

use subject::extend::{MissedTicks, SLOTS, Ticker, Wheel, milliseconds, next_tick};
use subject::{Key, Sleep, Timers, block_on, pending_timers, sleep, sleep_until, wait};

/// So many milliseconds.
fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Polls `sleep` once, with a waker of its own.
fn step(sleep: &mut Sleep) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop()))
}

/// Drops whatever it is, and be it nothing that needs to be.
fn discard<T>(_: T) {}

/// Sees to it that `n` timers wait.
fn entries(n: usize, when: &str) {
    let found = pending_timers();
    ensure!(found == n, "piles-up", "{when}, {found} timers stand in the map; {n} should.");
}

/// How often the thread has waited in the kernel.
fn waits() -> u64 {
    ledger().count(Event::Call("poll")) + ledger().count(Event::Call("select"))
}

/// Sleeps for so long under `block_on`, and writes it down.
fn wait_out(time: Duration) {
    with_a_reactor();
    block_on(watch("sleep", sleep(time)));
}

/// Makes the reactor of this thread: its first calls have no place in the story of a check.
fn with_a_reactor() {
    let ledger = ledger();
    Ledger::close();
    under_await::ch08_poll::block_on(async {});
    ledger.attach();
}

thread_local! {
    /// What a [`Meddler`] does when it is woken.
    static MEDDLE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that runs code of ours in the middle of everything.
struct Meddler;

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if let Some(meddle) = MEDDLE.take() {
            meddle();
        }
    }
}

/// The next number of a sequence that looks like chance (xorshift64, Marsaglia 2003).
fn chance(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Puts 100 timers into a new map, in no order. Returns the map, the bells of its wakers and the
/// deadlines, each 1 ms after the one before and all twice there.
fn hundred_timers() -> (Timers, Vec<Arc<Bell>>, Vec<Instant>) {
    let start = Instant::now();
    let (mut timers, mut bells) = (Timers::default(), Vec::new());
    // 37 is prime to 50, so each of 50 deadlines comes twice.
    let deadlines = (0..100).map(|n| start + ms(n * 37 % 50)).collect::<Vec<_>>();
    for deadline in &deadlines {
        let (bell, waker) = Bell::new();
        timers.insert(Key::new(*deadline), waker);
        bells.push(bell);
    }
    (timers, bells, deadlines)
}

/// Wakes all that is due at `now`, and returns which, in the order in which it came.
fn popped(timers: &mut Timers, bells: &[Arc<Bell>], now: Instant) -> Vec<usize> {
    let mut popped = Vec::new();
    while let Some(waker) = timers.pop_due(now) {
        waker.wake();
        popped.extend(bells.iter().position(|bell| bell.rung() > 0));
        ensure!(popped.len() <= bells.len(), "piles-up", "More came out than was put in.");
    }
    popped
}

/// What each policy says of a tick that was due at 0 ms, with a period of 10 ms, taken at `taken`:
/// in milliseconds, the next deadlines by Burst, Delay and Skip.
fn next_ticks(taken: u64) -> [u128; 3] {
    let due = Instant::now();
    [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip]
        .map(|policy| (next_tick(policy, due, due + ms(taken), ms(10)) - due).as_millis())
}

/// Sees to it that [`next_ticks`] of `taken` are `wanted`.
fn follows(taken: u64, wanted: [u128; 3]) {
    let found = next_ticks(taken);
    for ((policy, found), wanted) in ["Burst", "Delay", "Skip"].iter().zip(found).zip(wanted) {
        ensure!(
            found == wanted,
            "not-on-time",
            "{policy}: a tick was due at 0 ms and taken at {taken} ms, and the period is 10 ms. The \
             next one was due at {found} ms; {wanted} ms is needed."
        );
    }
}

/// The ids that a wheel and an ordered map give out when `to` has come; sees to it that they agree.
fn agree(wheel: &mut Wheel, map: &mut BTreeMap<(u64, u64), ()>, to: u64) {
    let later = map.split_off(&(to + 1, 0));
    let wanted = std::mem::replace(map, later);
    let mut found = wheel.advance(to).into_iter();
    for tick in wanted.keys().map(|(tick, _)| *tick).collect::<std::collections::BTreeSet<_>>() {
        let mut wanted = wanted.range((tick, 0)..=(tick, u64::MAX)).map(|((_, id), ())| *id);
        let wanted = wanted.by_ref().collect::<Vec<_>>();
        // Within a tick, any order will do.
        let mut found = found.by_ref().take(wanted.len()).collect::<Vec<_>>();
        found.sort_unstable();
        ensure!(
            found == wanted,
            "not-on-time",
            "`advance({to})` gave the timers {found:?} where those of tick {tick} are due, {wanted:?}."
        );
    }
    let rest = found.collect::<Vec<_>>();
    ensure!(rest.is_empty(), "not-on-time", "`advance({to})` also gave {rest:?}, not due yet.");
}

checks! {
    /// A sleep that was never polled leaves nothing behind, and takes nothing away.
    "9.1" fn dropped_before_its_first_poll() {
        discard([sleep(ms(10)), sleep_until(Instant::now()), sleep(Duration::MAX)]);
        entries(0, "After three sleeps that nobody polled");
    }

    /// Before its deadline a sleep is pending, and stands in the map.
    "9.2" fn pending_before_its_deadline() {
        let mut sleep = sleep(ms(60_000));
        let answer = step(&mut sleep);
        ensure!(answer.is_pending(), "not-on-time", "A sleep of a minute was `Ready` at once.");
        entries(1, "While one sleep is pending");
    }

    /// From its deadline on a sleep is ready, without a wake.
    "9.2" fn ready_from_its_deadline_on() {
        for (name, mut sleep) in [
            ("sleep(0 ms)", sleep(Duration::ZERO)),
            ("sleep_until(now)", sleep_until(Instant::now())),
        ] {
            let answer = step(&mut sleep);
            ensure!(answer.is_ready(), "not-on-time", "`{name}` was pending; its time has come.");
        }
        let mut sleep = sleep(ms(50));
        let first = step(&mut sleep);
        ensure!(first.is_pending(), "not-on-time", "A sleep of 50 ms was `Ready` at once.");
        thread::sleep(ms(51));
        let second = step(&mut sleep);
        ensure!(second.is_ready(), "not-on-time", "A sleep of 50 ms was pending after 51 ms.");
        entries(0, "When all sleeps are over");
    }

    /// However often it is polled, a sleep has one entry.
    "9.2" fn polled_ten_thousand_times() {
        let mut sleep = sleep(ms(60_000));
        for _ in 0..10_000 {
            let _ = step(&mut sleep);
        }
        entries(1, "After one sleep was polled 10,000 times");
    }

    /// A sleep that is dropped leaves the map, and no other goes with it.
    "9.2" fn dropped_after_a_poll() {
        let deadline = Instant::now() + ms(60_000);
        let mut sleeps = (0..100).map(|_| sleep_until(deadline)).collect::<Vec<_>>();
        for sleep in &mut sleeps {
            let _ = step(sleep);
        }
        entries(100, "While 100 sleeps with one deadline are pending");
        sleeps.truncate(40);
        entries(40, "After 60 of them were dropped");
        discard(sleeps);
        entries(0, "After all of them were dropped");
    }

    /// A sleep may be longer than a clock can say.
    "9.2" fn very_long_sleeps() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        for (name, mut sleep) in [
            ("10,000 days", sleep(10_000 * DAY)),
            ("Duration::MAX", sleep(Duration::MAX)),
        ] {
            let answer = step(&mut sleep);
            ensure!(answer.is_pending(), "not-on-time", "A sleep of {name} was `Ready` at once.");
        }
    }

    /// A timer is due at its deadline: not a nanosecond before it, and not after it.
    "9.3" fn due_at_its_deadline() {
        let (deadline, nanosecond) = (Instant::now() + ms(10), Duration::from_nanos(1));
        let mut timers = Timers::default();
        let popped = timers.pop_due(deadline);
        ensure!(popped.is_none(), "not-on-time", "From a map without timers, a waker came out.");
        timers.insert(Key::new(deadline), Waker::noop().clone());
        let early = timers.pop_due(deadline - nanosecond);
        ensure!(early.is_none(), "not-on-time", "A nanosecond before its deadline a timer was due.");
        let due = timers.pop_due(deadline);
        ensure!(due.is_some(), "not-on-time", "At the very moment of its deadline it was not due.");
        let again = timers.pop_due(deadline + nanosecond);
        ensure!(again.is_none(), "piles-up", "A timer that had come out came out again.");
    }

    /// The earlier deadline comes first, of equal ones the earlier key, and what is not due stays.
    "9.3" fn the_earliest_first() {
        let (mut timers, bells, deadlines) = hundred_timers();
        let mut wanted = (0..100).collect::<Vec<_>>();
        wanted.sort_by_key(|n| (deadlines[*n], *n));
        let middle = deadlines[wanted[49]];
        let [first, second] = [middle, middle + ms(1000)].map(|now| popped(&mut timers, &bells, now));
        ensure!(
            first.len() == 50,
            "not-on-time",
            "Of 100 timers with 50 deadlines, {} came out when 25 deadlines had passed; 50 are due.",
            first.len()
        );
        let found = [first, second].concat();
        ensure!(found.len() == 100, "not-on-time", "Of 100 timers {} came out.", found.len());
        let wrong = found.iter().zip(&wanted).position(|(found, wanted)| found != wanted);
        ensure!(
            wrong.is_none(),
            "not-on-time",
            "Of 100 timers, the one that came out as number {} is not the next one in the order of \
             deadlines.",
            wrong.unwrap_or_default() + 1
        );
    }

    /// A sleep is over when its time is, and its thread is woken then.
    "9.4" fn over_in_time() {
        for length in [0, 1, 30] {
            let start = Instant::now();
            wait_out(ms(length));
            let time = start.elapsed();
            ensure!(
                time >= ms(length),
                "not-on-time",
                "A sleep of {length} ms was over after {time:?}."
            );
        }
    }

    /// The thread sleeps up to the deadline in one piece: it does not ask the time over and over.
    "9.4" fn in_one_piece() {
        with_a_reactor();
        let before = waits();
        block_on(async {
            for _ in 0..5 {
                watch("sleep", sleep(Duration::from_micros(20_300))).await;
            }
        });
        let waits = waits() - before;
        ensure!(
            waits <= 15,
            "busy-poll",
            "For 5 sleeps of 20.3 ms, one after the other, the thread waited in the kernel more than \
             15 times; 5 are enough."
        );
    }

    /// Many sleeps on one thread end in the order of their deadlines, whoever was polled first.
    "9.4" fn in_the_order_of_deadlines() {
        let (start, ends) = (Instant::now(), RefCell::new(Vec::new()));
        block_on(join_all((0..40).map(async |n| {
            // 17 is prime to 40, so each deadline comes once.
            let deadline = start + ms(50 + n * 17 % 40);
            sleep_until(deadline).await;
            ends.borrow_mut().push(deadline);
        })));
        let ends = ends.into_inner();
        ensure!(ends.len() == 40, "not-on-time", "Of 40 sleeps {} ended.", ends.len());
        ensure!(
            ends.is_sorted(),
            "not-on-time",
            "40 sleeps with deadlines 50 to 89 ms away did not end in that order."
        );
        entries(0, "When all sleeps are over");
    }

    /// Polled by one task and moved to another, a sleep wakes the other one.
    "9.4" fn the_newest_waker() {
        let [(old, first), (new, second)] = [Bell::new(), Bell::new()];
        let mut moved = sleep(ms(50));
        let _ = Pin::new(&mut moved).poll(&mut Context::from_waker(&first));
        let _ = Pin::new(&mut moved).poll(&mut Context::from_waker(&second));
        // Longer, so that the other one fires meanwhile.
        wait_out(ms(60));
        let (old, new) = (old.rung(), new.rung());
        ensure!(
            (old, new) == (0, 1),
            "old-waker",
            "A sleep was polled with one waker and then with another. Its wakes, by waker: {old} and \
             {new}; 0 and 1 are needed."
        );
    }

    /// A wake from another thread ends the wait for a deadline.
    "9.4" fn woken_from_elsewhere() {
        with_a_reactor();
        let mut sleep = pin!(watch("sleep", sleep(ms(60_000))));
        let mut later = pin!(later(20));
        block_on(futures::future::select(sleep.as_mut(), later.as_mut()));
    }

    /// With something to do, `wait` looks and does not sleep: the wake that came before is not lost.
    "9.4" fn awake_it_only_looks() {
        with_a_reactor();
        let mut sleep = watch("sleep", sleep(ms(60_000)));
        let _ = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop()));
        let result = wait(|| true);
        ensure!(result.is_ok(), "stuck", "`wait` failed: {result:?}.");
    }

    /// Whoever is woken may start timers and drop them: those dropped are not woken any more.
    "9.4" fn timers_come_and_go_while_others_fire() {
        let (bell, waker) = Bell::new();
        let deadline = Instant::now() + ms(50);
        let mut first = sleep_until(deadline);
        let _ = Pin::new(&mut first).poll(&mut Context::from_waker(&Arc::new(Meddler).into()));
        // Due in the same moment as the first, or a little later; the first one's waker drops both.
        let mut others = [deadline, deadline + Duration::from_nanos(1)].map(sleep_until);
        for other in &mut others {
            let _ = Pin::new(other).poll(&mut Context::from_waker(&waker));
        }
        let started = Rc::new(RefCell::new(None));
        MEDDLE.set(Some(Box::new({
            let started = started.clone();
            move || {
                discard(others);
                let mut sleep = sleep(ms(5));
                let _ = step(&mut sleep);
                started.replace(Some(sleep));
            }
        })));
        wait_out(ms(60));
        ensure!(MEDDLE.take().is_none(), "not-on-time", "The first of three sleeps did not fire.");
        let rung = bell.rung();
        ensure!(
            rung == 0,
            "piles-up",
            "Two sleeps were dropped by the waker that was woken just before them, and their waker \
             was woken {rung} times."
        );
        ensure!(started.take().is_some(), "stuck", "The waker did not come to its end.");
        entries(0, "When all sleeps are over or dropped");
    }

    /// As long as no tick is missed, all policies keep the timetable.
    "9.5" fn a_little_late() {
        follows(0, [10, 10, 10]);
        follows(9, [10, 10, 10]);
    }

    /// After missed ticks, `Burst` catches up, `Delay` starts anew and `Skip` leaves them out.
    "9.5" fn after_missed_ticks() {
        follows(13, [10, 23, 20]);
        follows(35, [10, 45, 40]);
        follows(999_994, [10, 1_000_004, 1_000_000]);
    }

    /// When the next tick is due already, it is missed: `Skip` goes on with the one after that.
    "9.5" fn exactly_a_period_late() {
        follows(10, [10, 20, 20]);
        follows(30, [10, 40, 40]);
    }

    /// A ticker that was held up takes the late tick first, and then what its policy says.
    "9.5" fn held_up() {
        for (policy, wanted) in [
            (MissedTicks::Burst, [0, 1, 2, 3, 4]),
            // It takes tick 2, late, and leaves out 3.
            (MissedTicks::Skip, [0, 1, 2, 4, 5]),
        ] {
            let (start, period) = (Instant::now(), ms(60));
            let found = block_on(watch("ticker", async {
                let mut ticker = Ticker::new(period, policy);
                let first = ticker.tick().await;
                let mut ticks = vec![0];
                for n in 1..5 {
                    let due = ticker.tick().await - first;
                    ticks.push((due.as_nanos() / period.as_nanos()) as u32);
                    if n == 1 {
                        // From tick 1, which is due at 60 ms, until 200 ms.
                        thread::sleep((start + ms(200)).saturating_duration_since(Instant::now()));
                    }
                }
                ticks
            }));
            ensure!(
                found == wanted,
                "not-on-time",
                "{policy:?}: after tick 1 of a ticker with a period of 60 ms the thread was busy until \
                 200 ms. The ticks were {found:?}; {wanted:?} are needed."
            );
        }
    }

    /// A timeout in whole milliseconds is never shorter than what was asked for.
    "9.6" fn rounds_up() {
        for (nanoseconds, wanted) in [
            (2_500_000, 3),
            (0, 0),
            (1, 1),
            (999_999, 1),
            (1_000_000, 1),
            (1_000_001, 2),
            (59_999_000_001, 60_000),
        ] {
            let found = milliseconds(Some(Duration::from_nanos(nanoseconds)));
            ensure!(
                found == wanted,
                "busy-poll",
                "{nanoseconds} ns became {found} ms; {wanted} ms are needed. With less, the wait ends \
                 before its time, again and again; with more, later than it has to."
            );
        }
    }

    /// No timeout is for ever, and every other one has an end, however long it is.
    "9.6" fn very_long_timeouts() {
        let found = milliseconds(None);
        ensure!(found == -1, "wrong-result", "No timeout became {found}; for ever is -1.");
        for timeout in [
            Duration::from_millis(i32::MAX as u64),
            Duration::from_millis(i32::MAX as u64) + Duration::from_nanos(1),
            Duration::from_millis(1 << 32),
            Duration::from_secs(10_000 * 24 * 60 * 60),
            Duration::MAX,
        ] {
            let found = milliseconds(Some(timeout));
            ensure!(
                found == i32::MAX,
                "wrong-result",
                "{timeout:?} became {found} ms; the longest timeout is {} ms.",
                i32::MAX
            );
        }
    }

    /// What is due in a later round stays in its slot until then.
    "9.7" fn later_rounds_stay() {
        let mut wheel = Wheel::new();
        for (id, tick) in [3, 3 + SLOTS, 3 + 2 * SLOTS, 4].into_iter().enumerate() {
            wheel.insert(tick, id as u64);
        }
        for (now, wanted) in [(2, vec![]), (3, vec![0]), (SLOTS, vec![3]), (3 + SLOTS, vec![1])] {
            let found = wheel.advance(now);
            ensure!(
                found == wanted,
                "not-on-time",
                "`advance({now})` gave the timers {found:?}; {wanted:?} are due. The timers 0, 1, 2 are \
                 due at 3, {}, {}, and 3 is due at 4.",
                3 + SLOTS,
                3 + 2 * SLOTS
            );
        }
    }

    /// A wheel gives what an ordered map gives, whatever comes and goes, however far it is turned.
    "9.7" fn as_an_ordered_map() {
        let (mut wheel, mut map, mut seed, mut now) = (Wheel::new(), BTreeMap::new(), 99, 0);
        for id in 0..500 {
            let tick = now + chance(&mut seed) % (3 * SLOTS);
            // Some have passed already.
            let tick = wheel.insert(tick.saturating_sub(5), id);
            map.insert((tick, id), ());
            if chance(&mut seed).is_multiple_of(3)
                && let Some((tick, id)) = map.keys().nth(chance(&mut seed) as usize % 9).copied()
            {
                map.remove(&(tick, id));
                ensure!(wheel.remove(tick, id), "not-on-time", "Timer {id} of {tick} had gone.");
            }
            if chance(&mut seed).is_multiple_of(4) {
                now += chance(&mut seed) % if id % 100 == 0 { 3 * SLOTS } else { 9 };
                agree(&mut wheel, &mut map, now);
            }
        }
        agree(&mut wheel, &mut map, now + 4 * SLOTS);
    }

    /// However long it has stood still, a turn of the wheel looks at no slot twice.
    "9.7" fn no_slot_twice() {
        let mut wheel = Wheel::new();
        wheel.insert(1 << 40, 7);
        ledger().record("wheel", Event::Note("is turned by 2^50 ticks in one go"));
        let found = wheel.advance(1 << 50);
        ensure!(found == [7], "not-on-time", "`advance` gave {found:?}; timer 7 was due.");
        let again = wheel.advance(1 << 50);
        ensure!(again.is_empty(), "piles-up", "Turned no further, it gave {again:?} again.");
        let tick = wheel.insert(5, 8);
        let found = wheel.advance((1 << 50) + 1);
        ensure!(found == [8], "not-on-time", "A timer of tick 5, put in later, was due at {tick}.");
    }
}
