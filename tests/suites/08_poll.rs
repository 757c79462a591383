// The checks of chapter 8. `subject` is the code under examination.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use libc::{POLLERR, POLLHUP, POLLNVAL, c_short, pollfd};

use crate::support::schedules::{Orders, actor, every_order, model};
use crate::support::{Bell, Event, Ledger, checks, ensure, fail, ledger, many, scaled, times};
use under_await::sys::{self, Faults};
use under_await::waker_fn;

use subject::extend::{Key, Sleeper, Slots, ready_of};
use subject::{Backend, ByPoll, Direction, Registration, Root, ask_by, block_on, wait};

thread_local! {
    /// How many lines the ledger had at the last `begin`.
    static BEGUN: Cell<usize> = const { Cell::new(0) };
}

/// Makes the reactor, if there is none yet, and has it ask by poll, whatever the environment says. What
/// the ledger has so far is not counted.
fn begin() {
    quietly(|| ask_by(Box::new(ByPoll)).map(drop).expect("a pipe for the reactor"));
    BEGUN.set(ledger().entries().len());
}

/// The system calls since `begin`.
fn calls() -> Vec<&'static str> {
    let entries = ledger().entries().into_iter().skip(BEGUN.get());
    let calls = entries.filter_map(|entry| match entry.event {
        Event::Call(name) => Some(name),
        _ => None,
    });
    calls.collect()
}

/// Runs `f` without a line in the ledger.
fn quietly<T>(f: impl FnOnce() -> T) -> T {
    let ledger = ledger();
    Ledger::close();
    let result = f();
    ledger.attach();
    result
}

/// A pipe whose ends do not block.
fn pipe() -> (PipeReader, PipeWriter) {
    quietly(|| sys::pipe().expect("a pipe"))
}

/// Waits for `ms` milliseconds at most, and says how many it took.
fn wait_ms(ms: u64) -> u64 {
    let start = Instant::now();
    let result = wait(Some(Duration::from_millis(ms)), || false);
    if let Err(error) = result {
        fail!("wrong-result", "`wait` gave an error: {error}.");
    }
    start.elapsed().as_millis() as u64
}

/// A wait of a moment.
fn short() -> io::Result<()> {
    wait(Some(Duration::from_millis(100)), || false)
}

/// A pair of connected sockets.
fn sockets() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("a pair of sockets");
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    (a, b)
}

/// Writes into `socket` until there is no room.
fn fill(mut socket: &UnixStream) {
    while socket.write(&[0; 4096]).is_ok() {}
}

/// Reads from `socket` what there is.
fn drain(mut socket: &UnixStream) {
    while socket.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
}

fn register(io: &impl AsFd) -> Registration {
    Registration::new(io).expect("a row")
}

/// Leaves a new waker with `registration`: here is what it rings.
fn leave(registration: &Registration, direction: Direction) -> Arc<Bell> {
    let (bell, waker) = Bell::new();
    registration.wait_for(direction, &mut Context::from_waker(&waker)).expect("it is watched");
    bell
}

/// Sees to it that `seen` is how often the reader and the writer of a socket were woken.
fn woken(what: &str, bells: &[Arc<Bell>; 2], needed: [u32; 2]) {
    let [reads, writes] = bells.each_ref().map(|bell| bell.rung());
    let [reader, writer] = needed;
    let (r, w) = (times(reads), times(writes));
    ensure!(
        reads >= reader && writes >= writer,
        "never-woken",
        "{what}: the reader was woken {r}, the writer {w}; {reader} and {writer} are right."
    );
    ensure!(
        reads == reader && writes == writer,
        "wrong-wake",
        "{what}: the reader was woken {r}, the writer {w}; {reader} and {writer} are right."
    );
}

/// Another descriptor for what `io` is, with that number or, if it is taken, a later one.
fn at_number(number: i32, io: &impl AsFd) -> OwnedFd {
    // SAFETY: `io` is borrowed, and the new descriptor is ours.
    let fd = unsafe { libc::fcntl(io.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
    assert!(fd >= number, "{}", io::Error::last_os_error());
    // SAFETY: it is open, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Every call `name` fails with `errno`, as long as `f` runs.
fn with_fault<T>(errors: &'static [(&'static str, i32)], f: impl FnOnce() -> T) -> T {
    sys::inject(Some(Faults { seed: 1, one_in: 1, errors, short: false }));
    let result = f();
    sys::inject(None);
    result
}

/// Writes down how long each wait may last, and is back at once.
struct Notes(Rc<RefCell<Vec<Option<Duration>>>>);

impl Backend for Notes {
    fn wait(&mut self, _: &mut [pollfd], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        self.0.borrow_mut().push(timeout);
        Ok(Vec::new())
    }
}

/// Writes down how many rows the table had at the last wait, and is back at once.
struct Rows(Rc<Cell<usize>>);

impl Backend for Rows {
    fn wait(&mut self, table: &mut [pollfd], _: Option<Duration>) -> io::Result<Vec<usize>> {
        self.0.set(table.len());
        Ok(Vec::new())
    }
}

/// Reports `revents` of every row that is watched, whatever the kernel would say.
struct Reports(c_short);

impl Backend for Reports {
    fn wait(&mut self, table: &mut [pollfd], _: Option<Duration>) -> io::Result<Vec<usize>> {
        let rows = (1..table.len()).filter(|row| table[*row].fd != -1).collect::<Vec<_>>();
        rows.iter().for_each(|row| table[*row].revents = self.0);
        Ok(rows)
    }
}

/// Has rows, and can watch none of them but the pipe's.
struct Refuses;

impl Backend for Refuses {
    fn changed(&mut self, row: usize, _: i32, events: c_short) -> io::Result<()> {
        if row == 0 || events == 0 { Ok(()) } else { Err(ErrorKind::InvalidInput.into()) }
    }

    fn wait(&mut self, _: &mut [pollfd], _: Option<Duration>) -> io::Result<Vec<usize>> {
        Ok(Vec::new())
    }
}

/// Has the subject's reactor ask `backend`.
fn ask(backend: impl Backend + 'static) {
    quietly(|| ask_by(Box::new(backend)).map(drop).expect("a pipe for the reactor"));
}

/// Plays `sleeps` against one wake, in every order.
fn against_one_wake(sleeps: fn(&Sleeper)) -> Orders {
    every_order(|| {
        let (give, take) = mpsc::channel::<Arc<Sleeper>>();
        let sleeper = actor("sleeper", move || {
            let sleeper = Arc::new(Sleeper::new());
            let _ = give.send(sleeper.clone());
            sleeps(&sleeper);
        });
        let waker = actor("waker", move || {
            if let Ok(sleeper) = take.recv() {
                sleeper.wake();
            }
        });
        vec![sleeper, waker]
    })
}

checks! {
    /// With nothing to wake for, `wait` sleeps as long as it is told: one call of `poll`.
    "8.1" fn sleeps_as_long_as_it_is_told() {
        begin();
        let ms = wait_ms(40);
        ensure!(ms >= 40, "busy-poll", "A wait of 40 ms was over after {ms} ms.");
        let calls = calls();
        ensure!(
            calls == ["poll"],
            "extra-call",
            "It made the calls {calls:?}; one `poll` is needed."
        );
    }

    /// If there is a reason to be awake, `wait` looks and does not sleep.
    "8.1" fn only_looks_if_awake() {
        begin();
        let start = Instant::now();
        wait(Some(Duration::from_secs(1)), || true).expect("the system waits");
        let ms = start.elapsed().as_millis();
        ensure!(ms < 500, "stuck", "`awake` held, and it slept {ms} ms of 1000. 0 are right.");
        let polls = ledger().count(Event::Call("poll"));
        ensure!(
            polls == 1,
            "wrong-result",
            "`awake` held, and the kernel was asked {polls} times. Once is right: a thread that is \
             awake for long must still hear of its descriptors."
        );
        let notes = Rc::new(RefCell::new(Vec::new()));
        ask(Notes(notes.clone()));
        let minute = Duration::from_secs(60);
        for (timeout, awake) in [(Some(minute), true), (Some(minute), false), (None, false)] {
            wait(timeout, || awake).expect("the system waits");
            let needed = if awake { Some(Duration::ZERO) } else { timeout };
            let asked = notes.take();
            ensure!(
                asked == [needed],
                "wrong-result",
                "`wait` was told {timeout:?}, and `awake` said {awake}. The kernel was asked to wait for \
                 {asked:?}; [{needed:?}] is right."
            );
        }
    }

    /// A wake that comes after the look, and before the sleep, ends the sleep.
    "8.1" fn a_wake_after_the_look_ends_the_sleep() {
        begin();
        let root = Root::new().expect("a root");
        let waker = Waker::from(root.clone());
        let (looks, ledger) = (Cell::new(0), ledger());
        wait(Some(Duration::from_millis(1000)), || {
            let answer = root.is_woken();
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                ledger.record("another thread", Event::Wake);
                let waker = waker.clone();
                thread::spawn(move || waker.wake()).join().unwrap();
            }
            answer
        })
        .expect("the system waits");
        let rung = calls();
        ensure!(
            rung.contains(&"poll") && root.is_woken(),
            "wrong-result",
            "`wait` made the calls {rung:?}, without a `poll`."
        );
        let ms = ledger.entries().last().map(|entry| entry.at.as_millis()).unwrap_or_default();
        let slept = ledger.quiet().as_millis().max(ms);
        ensure!(
            slept < 500,
            "lost-wake",
            "The wake came just after `awake` was asked, and `wait` slept on for {slept} ms. 0 are \
             right."
        );
    }

    /// While nobody sleeps, a wake makes no system call.
    "8.1" fn a_wake_without_a_sleep_makes_no_call() {
        begin();
        let waker = || Waker::from(Root::new().expect("a root"));
        waker().wake();
        wait_ms(1);
        let failed = with_fault(&[("poll", libc::EINVAL)], short);
        ensure!(
            failed.is_err(),
            "wrong-result",
            "`poll` failed with EINVAL, and `wait` gave `Ok`. The error is needed."
        );
        begin();
        waker().wake();
        let calls = calls();
        ensure!(
            calls.is_empty(),
            "extra-call",
            "The wait was over, and a wake made the calls {calls:?}. None is needed: nobody sleeps."
        );
    }

    /// One wake ends one sleep: the byte that ended it is taken out of the pipe.
    "8.1" fn a_wake_ends_one_sleep() {
        begin();
        let waker = Waker::from(Root::new().expect("a root"));
        let ledger = ledger();
        let other = thread::spawn(move || {
            ledger.attach();
            thread::sleep(Duration::from_millis(20));
            ledger.record("another thread", Event::Wake);
            waker.wake();
        });
        let ms = wait_ms(1000);
        ensure!(ms < 500, "lost-wake", "A wake came after 20 ms, and the wait took {ms} ms.");
        let _ = other.join();
        let ms = wait_ms(50);
        ensure!(
            ms >= 50,
            "busy-poll",
            "The wake has ended one wait. No other came, and the next one, of 50 ms, was over after {ms} ms."
        );
    }

    /// A wait that a signal has ended is a short wait, and no error.
    "8.1" fn a_signal_is_no_error() {
        begin();
        let result = with_fault(&[("poll", libc::EINTR)], short);
        let error = result.err().map(|error| error.kind());
        ensure!(
            error != Some(ErrorKind::Interrupted),
            "wrong-result",
            "A signal came, and `wait` gave it out as an error. `Ok` is right: nothing is ready."
        );
        ensure!(error.is_none(), "wrong-result", "A signal came, and `wait` gave {error:?}.");
    }

    /// Reader and writer of one socket are both woken, each for its own reason.
    "8.2" fn two_wakers_for_one_descriptor() {
        begin();
        let (socket, peer) = sockets();
        fill(&socket);
        let registration = register(&socket);
        let bells = [leave(&registration, Direction::Read), leave(&registration, Direction::Write)];
        wait_ms(0);
        woken("Nothing has come and there is no room", &bells, [0, 0]);
        (&peer).write_all(b"!").unwrap();
        wait_ms(100);
        woken("A byte has come", &bells, [1, 0]);
        drain(&peer);
        wait_ms(100);
        woken("There is room", &bells, [0, 1]);
    }

    /// A future that was woken waits no more: readiness that nobody asks for ends no sleep.
    "8.2" fn readiness_that_nobody_waits_for_ends_no_sleep() {
        begin();
        let (socket, peer) = sockets();
        let registration = register(&socket);
        (&peer).write_all(b"!").unwrap();
        let bells = [leave(&registration, Direction::Read), leave(&registration, Direction::Write)];
        wait_ms(100);
        woken("A byte has come and there is room", &bells, [1, 1]);
        let ms = wait_ms(50);
        ensure!(
            ms >= 50,
            "busy-poll",
            "The byte is still there and nobody waits for it. A wait of 50 ms was over after {ms} ms."
        );
        woken("Nobody has waited again", &bells, [0, 0]);
    }

    /// A peer that has gone is news for both directions.
    "8.2" fn a_hang_up_wakes_both() {
        begin();
        let (reader, writer) = sockets();
        fill(&reader);
        let registration = register(&reader);
        let bells = [leave(&registration, Direction::Read), leave(&registration, Direction::Write)];
        drop(writer);
        let end = Instant::now() + scaled(Duration::from_millis(300));
        let mut seen = [0, 0];
        while seen.contains(&0) && Instant::now() < end {
            wait_ms(20);
            seen = [seen[0] + bells[0].rung(), seen[1] + bells[1].rung()];
        }
        ensure!(
            seen == [1, 1],
            "never-woken",
            "The peer is gone; the reader was woken {}, the writer {}. Once each is right.",
            times(seen[0]), times(seen[1])
        );

        let (reader, writer) = pipe();
        let registration = register(&reader);
        let bell = leave(&registration, Direction::Read);
        drop(writer);
        wait_ms(100);
        let rung = times(bell.rung());
        ensure!(
            rung == "once",
            "never-woken",
            "The writer of a pipe is gone, and its reader was woken {rung}. Once is right: the end \
             can be read."
        );
    }

    /// Whatever the kernel calls an error is news for both directions.
    "8.2" fn errors_concern_both() {
        for (name, bit) in [("POLLERR", POLLERR), ("POLLHUP", POLLHUP), ("POLLNVAL", POLLNVAL)] {
            begin();
            let (socket, _peer) = sockets();
            let registration = register(&socket);
            let bells =
                [leave(&registration, Direction::Read), leave(&registration, Direction::Write)];
            ask(Reports(bit));
            wait_ms(0);
            woken(&format!("`revents` is {name}, and nothing else"), &bells, [1, 1]);
        }
    }

    /// Of the wakers that were left, the last one is woken.
    "8.2" fn the_newest_waker_wins() {
        begin();
        let (socket, peer) = sockets();
        let registration = register(&socket);
        let [first, last] = [(); 2].map(|()| leave(&registration, Direction::Read));
        (&peer).write_all(b"!").unwrap();
        wait_ms(100);
        let seen = (first.rung(), last.rung());
        let (first, last) = (times(seen.0), times(seen.1));
        ensure!(
            seen == (0, 1),
            "old-waker",
            "Two wakers were left, one after the other; the first was woken {first}, the last {last}. \
             Only the last is to be woken."
        );
    }

    /// However often a future is polled, it waits in one row.
    "8.2" fn one_row_however_often_it_is_polled() {
        begin();
        let (reader, _writer) = pipe();
        let rows = Rc::new(Cell::new(0));
        ask(Rows(rows.clone()));
        let registration = register(&reader);
        for _ in 0..1000 {
            leave(&registration, Direction::Read);
        }
        wait(Some(Duration::ZERO), || false).expect("the system waits");
        // One of them is the reactor's own.
        let rows = rows.get() - 1;
        ensure!(
            rows == 1,
            "piles-up",
            "After 1,000 polls of one future, {rows} rows of the table are for it; 1 is needed."
        );
    }

    /// A waker may register, wait and drop registrations while it is being woken.
    "8.2" fn released_then_woken() {
        thread_local! {
            static KEPT: RefCell<Vec<Registration>> = const { RefCell::new(Vec::new()) };
        }
        begin();
        let (socket, peer) = sockets();
        KEPT.set(vec![register(&socket)]);
        let ledger = ledger();
        let waker = waker_fn({
            let socket = socket.try_clone().unwrap();
            move || {
                ledger.record("waker", Event::Wake);
                drop(KEPT.take());
                let registration = register(&socket);
                leave(&registration, Direction::Write);
                wait_ms(0);
            }
        });
        let registration = register(&socket);
        let mut cx = Context::from_waker(&waker);
        registration.wait_for(Direction::Read, &mut cx).expect("it is watched");
        (&peer).write_all(b"!").unwrap();
        wait_ms(100);
        let left = KEPT.with_borrow(Vec::len);
        ensure!(left == 0, "never-woken", "A byte has come, and the waker was not woken.");
    }

    /// A number that the kernel gives away again wakes nobody who had it.
    "8.2" fn a_number_given_away_again_wakes_nobody_who_had_it() {
        begin();
        let ((low, _peer), (other, peer)) = (sockets(), sockets());
        // High up, so that nobody else takes the number meanwhile.
        let socket = at_number(200, &low);
        let number = socket.as_raw_fd();
        // The registration ends with its statement.
        let old = leave(&register(&socket), Direction::Read);
        drop(socket);
        ledger().record("we", Event::Note("drop the registration and close the socket"));

        let socket = at_number(number, &other);
        assert_eq!(socket.as_raw_fd(), number, "somebody else has taken the number");
        ledger().record("we", Event::Note("open another socket, which gets the same number"));
        (&peer).write_all(b"!").unwrap();
        wait_ms(20);
        let rung = times(old.rung());
        ensure!(
            rung == "0 times",
            "stray-wake",
            "A byte has come for the new socket, and the waker of the old one was woken {rung}. 0 \
             times are right."
        );
        let registration = register(&socket);
        let new = leave(&registration, Direction::Read);
        wait_ms(100);
        let seen = (old.rung(), new.rung());
        ensure!(
            seen == (0, 1),
            "stray-wake",
            "Now the new one was waited for; the old waker and the new one were woken {seen:?} times. \
             (0, 1) is right."
        );
    }

    /// A wake from another thread ends the sleep of `block_on`: a byte is written, and read.
    "8.2" fn woken_by_another_thread() {
        begin();
        let ledger = ledger();
        block_on(crate::support::later(30));
        let (writes, reads) = (ledger.count(Event::Call("write")), ledger.count(Event::Call("read")));
        ensure!(
            writes <= 1 && reads <= 1,
            "extra-call",
            "One wake was worth {writes} into the pipe and {reads} from it. One of each is enough.",
            reads = many(reads, "read"), writes = many(writes, "byte")
        );
    }

    /// Whatever is removed, in whatever order, every other key finds its value, and there is no hole.
    "8.3" fn keys_find_their_values() {
        let (mut slots, mut model) = (Slots::default(), BTreeMap::<u32, Key>::new());
        let mut chance = 1_u32;
        for round in 0..2000 {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if model.is_empty() || chance >> 31 == 0 {
                model.insert(round, slots.insert(round));
            } else {
                let nth = (chance >> 16) as usize % model.len();
                let (value, key) = model.iter().nth(nth).map(|(value, key)| (*value, *key)).unwrap();
                model.remove(&value);
                let removed = slots.remove(key);
                ensure!(
                    removed == Some(value),
                    "wrong-result",
                    "`remove` of the key of {value} gave {removed:?}."
                );
            }
            let values = slots.values().len();
            ensure!(
                values == model.len(),
                "wrong-result",
                "{} values are in the table, and `values` shows {values}.",
                model.len()
            );
            for (value, key) in &model {
                let found = slots.get(*key);
                ensure!(
                    found == Some(value),
                    "wrong-result",
                    "After {} removals and insertions, the key of {value} finds {found:?}.",
                    round + 1
                );
            }
        }
    }

    /// A key whose value has been removed finds nothing, also when its slot has a new value.
    "8.3" fn an_old_key_finds_nothing() {
        let mut slots = Slots::default();
        let old = slots.insert("old");
        slots.insert("neighbour");
        slots.remove(old);
        for round in 1..=3 {
            let new = slots.insert("new");
            let (found, removed) = (slots.get(old).copied(), slots.remove(old));
            ensure!(
                found.is_none() && removed.is_none(),
                "stray-wake",
                "Its value was removed, and the key finds {found:?} and removes {removed:?}; {round} \
                 values have come since. `None` is right."
            );
            let found = slots.remove(new);
            ensure!(found == Some("new"), "wrong-result", "The new key finds {found:?}.");
        }
    }

    /// A slot whose value has been removed is used again: the table grows with what is in it.
    "8.3" fn slots_are_used_again() {
        let mut slots = Slots::default();
        let mut sizes = [10, 1000].map(|rounds| {
            for _ in 0..rounds {
                let key = slots.insert(());
                slots.remove(key);
            }
            format!("{slots:?}").len()
        });
        sizes.sort_unstable();
        let [few, many] = sizes;
        ensure!(
            many < 2 * few,
            "piles-up",
            "1010 values came and went, one after the other, and something of each has stayed. One slot \
             is enough for all of them."
        );
    }

    /// Of a hundred, those that are ready are named, in order.
    "8.4" fn names_those_that_are_ready() {
        begin();
        let pipes = (0..100).map(|_| pipe()).collect::<Vec<_>>();
        let (readers, writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
        for places in [vec![99], vec![0, 7, 50], (0..100).collect()] {
            for place in &places {
                (&writers[*place]).write_all(b"!").unwrap();
            }
            let found = block_on(ready_of(Direction::Read, &readers)).expect("all are watched");
            ensure!(
                found == places,
                "wrong-result",
                "{} of 100 are ready, and `ready_of` names {}: {:?} …",
                places.len(), found.len(), &found[..found.len().min(5)]
            );
            for place in &places {
                (&readers[*place]).read_exact(&mut [0]).unwrap();
            }
        }
    }

    /// However many things have happened, the kernel is asked once, and nothing else is called.
    "8.4" fn n_events_are_one_poll_and_no_other_call() {
        let pipes = (0..100).map(|_| pipe()).collect::<Vec<_>>();
        let (readers, writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
        for n in [1, 10, 100] {
            writers[..n].iter().for_each(|mut writer| writer.write_all(b"!").unwrap());
            begin();
            let found = block_on(ready_of(Direction::Read, &readers[..n])).expect("all are watched");
            let calls = calls();
            ensure!(
                calls.len() == 1,
                "extra-call",
                "{n} of {n} are ready, {} were named, with {} system calls. One `poll` says it all.",
                found.len(), calls.len()
            );
            readers[..n].iter().for_each(|mut reader| reader.read_exact(&mut [0]).unwrap());
        }
    }

    /// What cannot be watched is an error, and not something to wait for.
    "8.4" fn what_cannot_be_watched_is_an_error() {
        begin();
        ask(Refuses);
        let (reader, _writer) = pipe();
        let readers = [reader];
        let future = pin!(ready_of(Direction::Read, &readers));
        let answer = future.poll(&mut Context::from_waker(Waker::noop()));
        ensure!(
            matches!(answer, Poll::Ready(Err(_))),
            "wrong-result",
            "The descriptor cannot be watched, and the answer was {answer:?}; an error is needed."
        );
    }

    /// A poll for the reasons of others answers `Pending`.
    "8.4" fn pending_until_one_is_ready() {
        begin();
        let (reader, _writer) = pipe();
        let readers = [reader];
        let mut future = pin!(ready_of(Direction::Read, &readers));
        for polls in 1..=3 {
            let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            ensure!(
                matches!(answer, Poll::Pending),
                "wrong-result",
                "Nothing is ready, and poll {polls} answered `Ready`."
            );
            wait_ms(0);
        }
    }

    /// No order of the steps of `sleep` and `wake` hangs.
    "8.5" fn no_order_hangs() {
        let orders = against_one_wake(Sleeper::sleep);
        if let Some(order) = orders.bad.first() {
            let (bad, total) = (orders.bad.len(), orders.total);
            fail!("lost-wake", "Of {total} orders {bad} hang. One of them:\n\n{order}");
        }
    }

    /// A wake is used up by the sleep that it ends, and nothing else ends one.
    "8.5" fn one_wake_ends_one_of_two_sleeps() {
        let orders = against_one_wake(|sleeper| {
            sleeper.sleep();
            sleeper.sleep();
        });
        let (total, ended) = (orders.total, orders.total - orders.bad.len());
        ensure!(
            ended == 0,
            "wrong-wake",
            "One wake against two sleeps: in {ended} of {total} orders both came to an end. The second \
             one has to wait for a wake of its own."
        );
    }

    /// A thread woken before its sleep does not sleep, and is not taken for a sleeper afterwards.
    "8.5" fn who_is_awake_is_not_unparked() {
        let orders = every_order(|| {
            vec![actor("sleeper", || {
                let sleeper = Sleeper::new();
                sleeper.wake();
                sleeper.sleep();
                sleeper.wake();
                // Nobody has unparked this thread: it stays here.
                model::thread::park();
            })]
        });
        ensure!(
            orders.bad.len() == orders.total,
            "extra-call",
            "`wake`, `sleep`, `wake`, one after the other on one thread: nobody ever slept, and the second \
             wake has unparked the thread."
        );
    }
}
