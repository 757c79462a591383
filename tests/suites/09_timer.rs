// The checks of chapter 9. `subject` is the code under examination.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use libc::pollfd;

use crate::support::{
    Bell, Event, Ledger, checks, cloning, ensure, fail, later, ledger, panics, times,
};
use under_await::ch08_poll::{Backend, ask_by};
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

/// A waker that looks into the map when it goes.
struct Nosy;

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Nosy {
    fn drop(&mut self) {
        looks_into_the_map(Event::Drop, "dropped");
    }
}

/// What a waker's clone and drop may do: they are other people's code.
fn looks_into_the_map(event: Event, what: &str) {
    ledger().record("the waker", event);
    let panic = panics(|| discard(pending_timers()));
    ensure!(
        panic.is_none(),
        "woken-under-lock",
        "A waker was {what} while the map was borrowed. It looked into the map, as its task might, and that \
         is a panic."
    );
}

thread_local! {
    /// Sleeps that end with their thread: one is older than its timers, and one is younger.
    static OLDER: RefCell<Option<Sleep>> = const { RefCell::new(None) };
    static YOUNGER: RefCell<Option<Sleep>> = const { RefCell::new(None) };
    /// The timers that [`Again`] has started.
    static STARTED: RefCell<Vec<Sleep>> = const { RefCell::new(Vec::new()) };
}

/// A waker that starts a timer, and takes so long that it is due.
struct Again;

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        let started = Instant::now();
        let mut next = sleep(ms(1));
        if STARTED.with_borrow(Vec::len) < 20 {
            let _ = Pin::new(&mut next).poll(&mut Context::from_waker(&self.into()));
        }
        STARTED.with_borrow_mut(|sleeps| sleeps.push(next));
        thread::sleep(ms(2).saturating_sub(started.elapsed()));
    }
}

/// Writes down how long each wait may last, and is back at once: with an error, if there is one left.
#[derive(Clone, Default)]
struct Notes {
    asked: Rc<RefCell<Vec<Option<Duration>>>>,
    error: Rc<Cell<Option<ErrorKind>>>,
}

impl Backend for Notes {
    fn wait(&mut self, _: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        self.asked.borrow_mut().push(timeout);
        self.error.take().map_or(Ok(Vec::new()), |error| Err(error.into()))
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

/// What a `wait` asks the kernel for when there are `timers` of that length, polled and then left for
/// `later`: how long it may sleep.
fn asked(notes: &Notes, timers: &[Duration], later: Duration, awake: bool) -> Option<Duration> {
    let mut sleeps = timers.iter().map(|length| sleep(*length)).collect::<Vec<_>>();
    for sleep in &mut sleeps {
        let _ = step(sleep);
    }
    thread::sleep(later);
    let result = wait(|| awake);
    ensure!(result.is_ok(), "wrong-result", "`wait` gave {result:?}.");
    let asked = notes.asked.take();
    let [timeout] = *asked else {
        let (calls, timers) = (asked.len(), timers.len());
        fail!(
            "waits-for-one",
            "Timers: {timers}; `awake` says {awake}. One `wait` asked the kernel {calls} times. Once is \
             right: the descriptors have to be looked at, too."
        );
    };
    timeout
}

checks! {
    /// A sleep that was never polled leaves nothing behind, and takes nothing away.
    "9.1" fn dropped_before_its_first_poll() {
        discard([sleep(ms(10)), sleep_until(Instant::now()), sleep(Duration::MAX)]);
        entries(0, "After three sleeps that nobody polled");
    }

    /// A sleep may be the last thing on its thread: its timers have gone before it.
    "9.1" fn dropped_when_its_thread_ends() {
        let other = thread::spawn(|| {
            OLDER.set(Some(sleep(ms(60_000))));
            pending_timers();
            YOUNGER.set(Some(sleep(ms(60_000))));
        });
        let _ = other.join();
    }

    /// Before its deadline a sleep is pending, and stands in the map.
    "9.2" fn pending_before_its_deadline() {
        let mut sleep = watch("sleep", sleep(ms(60_000)));
        let answer = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop()));
        ensure!(answer.is_pending(), "not-on-time", "A sleep of a minute was `Ready` at once.");
        ensure!(
            pending_timers() > 0,
            "never-woken",
            "A sleep of a minute is pending, and no timer stands in the map: who will wake it?"
        );
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

    /// While the map is borrowed, no waker is cloned and none is dropped: it may look into the map.
    "9.2" fn wakers_come_and_go_when_the_map_is_free() {
        let (_, cloned) = cloning(|| looks_into_the_map(Event::Clone, "cloned"));
        let mut sleep = sleep(ms(60_000));
        for waker in [cloned, Arc::new(Nosy).into(), Arc::new(Nosy).into()] {
            // The waker before is in the map alone, and goes.
            let _ = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
        }
        discard(sleep);
        entries(0, "After the sleep was dropped");
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
            waits <= 6,
            "busy-poll",
            "For 5 sleeps of 20.3 ms, one after the other, the thread waited in the kernel more than \
             6 times; 5 are enough."
        );
    }

    /// Many sleeps on one thread end in the order of their deadlines, whichever was polled first.
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
        let mut time = ms(50);
        // On a busy machine it may be due between the two polls, and that says nothing.
        loop {
            let start = Instant::now();
            let mut moved = sleep(time);
            let _ = Pin::new(&mut moved).poll(&mut Context::from_waker(&first));
            let answer = Pin::new(&mut moved).poll(&mut Context::from_waker(&second));
            if answer.is_pending() {
                // Longer, so that the other one fires meanwhile.
                wait_out(time + ms(10));
                break;
            }
            ensure!(start.elapsed() >= time, "not-on-time", "A sleep was over before its time.");
            old.rung();
            time *= 2;
        }
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

    /// The kernel is asked once, for no longer than to the first deadline; what it says is passed on.
    "9.4" fn asks_for_the_time_to_the_first_deadline() {
        with_a_reactor();
        let notes = Notes::default();
        let poll = ask_by(Box::new(notes.clone())).expect("there is a reactor");
        let (minute, zero) = (ms(60_000), Some(Duration::ZERO));

        let timeout = asked(&notes, &[], ms(0), false);
        ensure!(
            timeout.is_none(),
            "busy-poll",
            "Without timers, `wait` asked for {timeout:?}; without a limit (`None`) is right."
        );
        let start = Instant::now();
        let timeout = asked(&notes, &[2 * minute, minute], ms(0), false);
        let late = start.elapsed();
        ensure!(
            timeout.is_some_and(|timeout| (minute - late..=minute).contains(&timeout)),
            "not-on-time",
            "The first timer was due in a minute; {} ms later, `wait` asked for {timeout:?}.",
            late.as_millis()
        );
        for (length, awake) in [(ms(1), false), (minute, true)] {
            let timeout = asked(&notes, &[length], ms(2), awake);
            ensure!(
                timeout == zero,
                "slept-through",
                "A timer of {length:?} was 2 ms old, and `awake` was {awake}: `wait` asked for {timeout:?}; \
                 {zero:?} is right."
            );
        }
        notes.error.set(Some(ErrorKind::InvalidInput));
        let result = wait(|| false);
        ensure!(
            result.is_err(),
            "wrong-result",
            "The kernel said `InvalidInput`, and `wait` gave `Ok`. The error is needed."
        );
        ask_by(poll).expect("there is a reactor");
    }

    /// After one wait, every waker that is due is woken, even one that became due in that wait.
    "9.4" fn one_wait_wakes_all_that_are_due() {
        with_a_reactor();
        let (bell, waker) = Bell::new();
        let now = Instant::now();
        let mut sleeps = [30, 31, 30].map(|n| sleep_until(now + ms(n)));
        for sleep in &mut sleeps {
            let _ = Pin::new(sleep).poll(&mut Context::from_waker(&waker));
        }
        thread::sleep(ms(32));
        let result = wait(|| false);
        ensure!(result.is_ok(), "stuck", "`wait` failed: {result:?}.");
        let rung = bell.rung();
        ensure!(
            rung == 3,
            "not-on-time",
            "Three timers were due, and one `wait` woke {rung} of them."
        );

        let mut sleep = sleep(Duration::from_micros(20_300));
        let _ = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
        let start = Instant::now();
        let result = wait(|| false);
        ensure!(result.is_ok(), "stuck", "`wait` failed: {result:?}.");
        let (rung, took) = (bell.rung(), start.elapsed().as_millis());
        ensure!(
            rung == 1,
            "not-on-time",
            "The only timer was due in 20.3 ms. One `wait` took {took} ms and woke nobody."
        );
    }

    /// What is started while the timers fire has its turn after the next look at the descriptors.
    "9.4" fn one_look_at_the_clock() {
        with_a_reactor();
        let (mut first, again) = (sleep(ms(1)), Waker::from(Arc::new(Again)));
        // On a busy machine it may be over before it is polled.
        while Pin::new(&mut first).poll(&mut Context::from_waker(&again)).is_ready() {
            first = sleep(ms(1));
        }
        thread::sleep(ms(2));
        let result = wait(|| true);
        ensure!(result.is_ok(), "stuck", "`wait` failed: {result:?}.");
        let woken = STARTED.take().len();
        ensure!(
            woken == 1,
            "never-returns",
            "A waker starts a timer of 1 ms, with itself, and takes 2 ms. One `wait` woke it {woken} times; \
             once is right, or a `wait` need not come to an end."
        );
    }

    /// With something to do, `wait` looks and does not sleep: the wake that came before is not lost.
    "9.4" fn awake_it_only_looks() {
        with_a_reactor();
        let mut sleep = watch("sleep", sleep(ms(60_000)));
        let _ = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop()));
        let result = wait(|| true);
        ensure!(result.is_ok(), "stuck", "`wait` failed: {result:?}.");
    }

    /// A task that is woken may start timers and drop them; a dropped one is not woken any more.
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
            "stray-wake",
            "Two sleeps were dropped by the waker that was woken just before them, and their waker \
             was woken {rung}.", rung = times(rung)
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

    /// A period may be any number of nanoseconds, and may have passed any number of times.
    "9.5" fn to_the_nanosecond() {
        for (taken, period, wanted) in [
            (6_000_001, 2_500_000, 7_500_000),
            (2_500_000, 2_500_000, 5_000_000),
            (7, 3, 9),
            (3_600_000_000_000, 1, 3_600_000_000_001),
        ] {
            ledger().record("ticker", Event::Note("was held up, and is to leave out what has passed"));
            let (due, [taken_ns, period_ns]) =
                (Instant::now(), [taken, period].map(Duration::from_nanos));
            let next = next_tick(MissedTicks::Skip, due, due + taken_ns, period_ns) - due;
            ensure!(
                next == Duration::from_nanos(wanted),
                "not-on-time",
                "Skip: a tick was due at 0 and taken {taken} ns later, and the period is {period} ns. The \
                 next one was due at {} ns; {wanted} ns is needed.",
                next.as_nanos()
            );
        }
    }

    /// A ticker that was held up takes the late tick first, and then what its policy says.
    "9.5" fn held_up() {
        for policy in [MissedTicks::Burst, MissedTicks::Skip] {
            let period = ms(20);
            block_on(watch("ticker", async {
                let mut ticker = Ticker::new(period, policy);
                let first = ticker.tick().await;
                let number = |at: Instant| (at - first).as_nanos() / period.as_nanos();
                // The tick before, and between which moments the clock was looked at for it.
                let (mut before, mut looked) = (first, first..=Instant::now());
                for n in 1..5 {
                    let called = Instant::now();
                    let due = ticker.tick().await;
                    let (found, taken) = (number(due), (*looked.end() - first).as_millis());
                    let [from, to] = match policy {
                        MissedTicks::Burst => [number(before) + 1; 2],
                        _ => [*looked.start(), *looked.end()].map(|now| number(now) + 1),
                    };
                    ensure!(
                        (from..=to).contains(&found),
                        "not-on-time",
                        "{policy:?}: tick {} of a ticker with a period of 20 ms was taken at {taken} ms. The \
                         next one that came was tick {found}; tick {from} is needed.",
                        number(before)
                    );
                    (before, looked) = (due, called.max(due)..=Instant::now());
                    if n == 1 {
                        // Until ticks 2 and 3 have passed.
                        thread::sleep(ms(70));
                    }
                }
            }));
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
        let wrong = (0..10_000).find(|n| milliseconds(Some(ms(*n))) != *n as i32);
        if let Some(n) = wrong {
            let found = milliseconds(Some(ms(n)));
            fail!("busy-poll", "A timeout of exactly {n} milliseconds became one of {found}.");
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

    /// What has been looked at is past, whatever is put in or asked for afterwards.
    "9.7" fn what_is_past_is_past() {
        let mut wheel = Wheel::new();
        wheel.insert(400, 0);
        for (now, next) in [(10, 11), (5, 11), (10, 11), (300, 301), (299, 301)] {
            let found = wheel.advance(now);
            ensure!(found.is_empty(), "not-on-time", "`advance({now})` gave {found:?}; 0 is due at 400.");
            for tick in [3, now, next] {
                let due = wheel.insert(tick, 1);
                ensure!(
                    due == next,
                    "not-on-time",
                    "After `advance({now})`, a timer for tick {tick} was put in and is due at {due}; all \
                     before {next} has been looked at."
                );
                wheel.remove(due, 1);
            }
        }
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
