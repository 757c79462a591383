// The checks of chapter 7. `subject` is the code under examination.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use under_await::ledger::watch;
use under_await::sys::{self, Faults};

use crate::support::faults::{all, only, with_faults};
use crate::support::net::{pair, reset};
use crate::support::{
    Bell, Event, checks, ensure, fail, interruptions, later, ledger, many, panics, scaled,
};

use subject::extend::{gather, readable_within};
use subject::{FdSet, block_on, readable, select, writable};

checks! {
    /// A descriptor for which the set has no bit is an error, and nothing is written.
    "7.1" fn no_bit_is_an_error() {
        for fd in [-1, 1024, 1100, i32::MAX] {
            if (0..libc::FD_SETSIZE as i32).contains(&fd) {
                continue;
            }
            let mut set = FdSet::new();
            let result = set.insert(fd);
            let kind = result.as_ref().map_err(io::Error::kind).err();
            ensure!(
                kind == Some(ErrorKind::InvalidInput),
                "wrong-result",
                "`insert({fd})` gave {result:?}; a set of {} bits has none for it, and the error is \
                 `InvalidInput`.",
                libc::FD_SETSIZE
            );
        }
        let mut set = FdSet::new();
        let last = set.insert(libc::FD_SETSIZE as i32 - 1);
        ensure!(last.is_ok(), "wrong-result", "`insert` of the last bit gave {last:?}; it is there.");
    }

    /// The kernel looks at every descriptor that is in the set, and leaves those that are ready.
    "7.1" fn the_kernel_leaves_the_ready_ones() {
        // The full one has the higher number.
        let ((empty, _to_empty), (full, to_full)) = (pipe(), pipe());
        put(&to_full, b"!");
        for (order, first, second) in [("last", &empty, &full), ("first", &full, &empty)] {
            let mut reads = FdSet::new();
            reads.insert(first.as_raw_fd()).unwrap();
            reads.insert(second.as_raw_fd()).unwrap();
            let ready = select(&mut reads, &mut FdSet::new(), Some(Duration::ZERO)).unwrap();
            let left = (reads.contains(full.as_raw_fd()), reads.contains(empty.as_raw_fd()));
            ensure!(
                ready == 1 && left == (true, false),
                "wrong-result",
                "Of two pipes in the set, one has a byte; it has the higher number, and was put in {order}. \
                 `select` gave {ready}, the number of those that are ready; the full one was left in the set: {}, \
                 the empty one: {}. Needed: 1, true, false. The kernel looks at the numbers below `count`, and at \
                 no others.",
                left.0,
                left.1
            );
        }
    }

    /// A wait leaves its waker with the reactor, and takes it back when it is dropped.
    "7.2" fn a_wait_keeps_its_waker_until_it_is_dropped() {
        let (reader, _writer) = pipe();
        let (bell, waker) = Bell::new();
        let mut wait = Box::pin(readable(&reader));
        let pending = wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
        ensure!(pending, "wrong-result", "The first poll was ready, and nothing has been waited for.");
        drop(waker);
        let shares = Arc::strong_count(&bell);
        ensure!(
            shares > 1,
            "never-woken",
            "`readable` said `Pending`, and nobody has its waker: it can never be woken."
        );
        drop(wait);
        let shares = Arc::strong_count(&bell) - 1;
        ensure!(
            shares == 0,
            "leak",
            "The wait was dropped, and {shares} share of its waker is still kept; 0 are needed."
        );
    }

    /// Of all the wakers that a wait was polled with, the reactor keeps the last.
    "7.2" fn the_newest_waker_is_kept() {
        let (reader, _writer) = pipe();
        let ((old, old_waker), (new, new_waker)) = (Bell::new(), Bell::new());
        let mut wait = pin!(readable(&reader));
        for waker in [old_waker, new_waker] {
            let pending = wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
            ensure!(pending, "wrong-result", "A wait for an empty pipe was ready.");
        }
        let kept = (Arc::strong_count(&old) - 1, Arc::strong_count(&new) - 1);
        ensure!(
            kept == (0, 1),
            "old-waker",
            "Polled with two wakers, the reactor keeps {} of the first and {} of the second; it \
             needs 0 and 1, or the wake goes where the wait was and not where it is.",
            kept.0,
            kept.1
        );
    }

    /// A wait is ready when the waker that it has left is gone.
    "7.2" fn ready_when_its_waker_is_gone() {
        let (reader, _writer) = pipe();
        let mut cx = Context::from_waker(Waker::noop());
        let mut wait = pin!(readable(&reader));
        let pending = wait.as_mut().poll(&mut cx).is_pending();
        ensure!(pending, "wrong-result", "The first poll was ready, and nothing has been waited for.");
        // The reactor would take the waker out by 7.3. A second wait for the pipe does so too: it takes the place,
        // and leaves it empty.
        let second = Box::pin(readable(&reader)).as_mut().poll(&mut cx).is_pending();
        let ready = wait.as_mut().poll(&mut cx).is_ready();
        ensure!(
            second && ready,
            "stuck",
            "A wait had left its waker, and that is in the reactor no longer, as when the reactor has found the \
             descriptor ready. The next poll of the wait was pending."
        );
    }

    /// A waker that is replaced is dropped when the reactor is free: what it owns may want the reactor.
    "7.2" fn drops_the_older_waker_outside() {
        let ((reader, _writer), (other, _to_other)) = (pipe(), pipe());
        let mut wait = Box::pin(readable(&reader));
        // A task, as a waker owns it. It has a wait of its own, which is dropped with it.
        let task = Waker::from(Arc::new(Owner { _wait: Kept::new(polled(&other)) }));
        let _ = wait.as_mut().poll(&mut Context::from_waker(&task));
        drop(task);
        let panic = panics(|| {
            let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        if let Some(panic) = panic {
            fail!(
                "woken-under-lock",
                "A poll replaced a waker, and dropped it. It was the last owner of a task with another \
                 wait, which was dropped too and wanted the reactor. But that was still lent out: {panic}."
            );
        }
    }

    /// Two waits on one thread, each over when its own pipe has something.
    "7.3" fn two_pipes_on_one_thread() {
        let ((a, to_a), (b, to_b)) = (pipe(), pipe());
        let (b_is_ready, told) = mpsc::channel();
        let helper = in_a_thread(move || {
            thread::sleep(Duration::from_millis(15));
            ledger().record("helper", Event::Note("writes into b"));
            put(&to_b, b"!");
            // However busy the machine is: `a` comes when `b` has been heard of.
            let _ = told.recv_timeout(scaled(Duration::from_millis(200)));
            ledger().record("helper", Event::Note("writes into a"));
            put(&to_a, b"!");
            (to_a, to_b)
        });
        let start = Instant::now();
        let (a, b) = block_on(join(
            watch("a", async { readable(&a).await.map(|()| start.elapsed()) }),
            watch("b", async {
                let ready = readable(&b).await.map(|()| start.elapsed());
                let _ = b_is_ready.send(());
                ready
            }),
        ));
        let (a, b) = (a.unwrap(), b.unwrap());
        ensure!(a > b, "out-of-step", "`b` was written to first, and was ready after `a`.");
        drop(helper.join());
    }

    /// What has fired is asked for no more: a byte that nobody waits for does not end a sleep.
    "7.3" fn an_unread_byte_ends_one_wait() {
        let (reader, writer) = pipe();
        put(&writer, b"!");
        block_on(async {
            readable(&reader).await.unwrap();
            later(60).await;
        });
        let calls = ledger().count(Event::Call("select"));
        ensure!(
            calls <= 6,
            "busy-poll",
            "A byte was waited for and not read, then 60 ms passed, with more than 6 calls of \
             `select`; 2 are enough."
        );
    }

    /// All that is ready after a sleep is woken by it.
    "7.3" fn one_sleep_for_all_that_is_ready() {
        let pipes = [pipe(), pipe(), pipe()];
        pipes.iter().for_each(|(_, writer)| put(writer, b"!"));
        block_on(join_all(pipes.iter().map(|(reader, _)| readable(reader))));
        let calls = ledger().count(Event::Call("select"));
        ensure!(
            calls == 1,
            "waits-for-one",
            "Three pipes with a byte each were waited for, and it took {calls} sleeps; 1 is enough."
        );
    }

    /// Whoever waits to write is woken when there is room, and not for what there is to read.
    "7.3" fn each_direction_by_itself() {
        let (here, there) = UnixStream::pair().unwrap();
        block_on(watch("to write", writable(&here))).unwrap();
        here.set_nonblocking(true).unwrap();
        while (&here).write(&[0; 4096]).is_ok() {}
        (&there).write_all(b"!").unwrap();
        let (read, is_read) = mpsc::channel();
        let helper = in_a_thread(move || {
            let _ = is_read.recv();
            let mut bytes = vec![0; 1 << 20];
            while (&there).read(&mut bytes).is_ok_and(|length| length == bytes.len()) {}
            there
        });
        // There is no room before the byte was reported, and this side is asked first.
        let (write, read) = block_on(join(
            async { watch("to write", writable(&here)).await.map(|()| room(&here)) },
            async {
                let ready = watch("to read", readable(&here)).await;
                let _ = read.send(());
                ready
            },
        ));
        read.unwrap();
        ensure!(
            write.unwrap(),
            "wrong-result",
            "A socket has a byte to read, and no room. A wait to write was ready, and a write would have \
             waited."
        );
        drop(helper.join());
    }

    /// While a waker runs, the reactor is free: whoever is woken may use it at once.
    "7.3" fn wakes_when_the_reactor_is_free() {
        let ((reader, writer), (other, _to_other)) = (pipe(), pipe());
        put(&writer, b"!");
        let (mut wait, mut hasty) = (pin!(readable(&reader)), None);
        block_on(poll_fn(|cx| {
            let hasty = hasty.get_or_insert_with(|| {
                let (other, then) = (polled(&other), cx.waker().clone());
                Waker::from(Arc::new(Hasty { other: Kept::new(other), then }))
            });
            wait.as_mut().poll(&mut Context::from_waker(hasty))
        }))
        .unwrap();
    }

    /// The limit holds, and a signal is neither its end nor an error.
    "7.4" fn a_limit_and_signals() {
        let (reader, writer) = pipe();
        let limit = Duration::from_millis(40);
        let start = Instant::now();
        let ready = readable_within(&reader, limit);
        let time = start.elapsed();
        ensure!(
            ready.as_ref().is_ok_and(|ready| !ready) && time >= limit,
            "wrong-result",
            "An empty pipe and a limit of 40 ms: {ready:?} after {} ms; needed is Ok(false), after \
             40 ms or more.",
            time.as_millis()
        );
        let calls = ledger().count(Event::Call("select"));
        ensure!(
            calls <= 5,
            "spins",
            "A wait of 40 ms for an empty pipe took {calls} of `select`; 1 is enough.",
            calls = many(calls, "call")
        );
        put(&writer, b"!");
        let errors = &[("select", libc::EINTR)];
        sys::inject(Some(Faults { seed: 7, one_in: 2, errors, short: false }));
        let answers = (0..20).map(|_| readable_within(&reader, limit)).collect::<Vec<_>>();
        sys::inject(None);
        let wrong = answers.iter().find(|answer| !answer.as_ref().is_ok_and(|ready| *ready));
        if let Some(wrong) = wrong {
            fail!("wrong-result", "A byte is there, and signals come: {wrong:?}; needed is Ok(true).");
        }
    }

    /// A limit of 0 is a look, and a look that a signal ended was none.
    "7.4" fn a_look_without_time() {
        let (reader, writer) = pipe();
        put(&writer, b"!");
        let signal = || Some(only(0, &[("select", libc::EINTR)]));
        for (limit, faults, when) in [
            (Duration::ZERO, None, "No signal came."),
            (Duration::ZERO, signal(), "A signal came during the first call of `select`."),
            (Duration::MAX, None, "No signal came."),
        ] {
            sys::inject(faults);
            let ready = readable_within(&reader, limit);
            sys::inject(None);
            ensure!(
                ready.as_ref().is_ok_and(|ready| *ready),
                "wrong-result",
                "A byte is there, and the limit is {limit:?}. {when} The answer was {ready:?}; needed is Ok(true)."
            );
        }
    }

    /// Signals do not make the wait longer, however many they are.
    "7.4" fn signals_do_not_stretch_it() {
        let (reader, _writer) = pipe();
        let (limit, signals) = (scaled(Duration::from_millis(120)), scaled(Duration::from_millis(800)));
        let stop = interruptions(signals.as_millis() as u32 / 10);
        let start = Instant::now();
        let ready = readable_within(&reader, limit);
        let in_time = stop();
        ensure!(ready.is_ok_and(|ready| !ready), "wrong-result", "An empty pipe was readable.");
        ensure!(
            in_time,
            "not-on-time",
            "A signal came every 10 ms, and a wait of {} ms was over after the last of them: it took {} ms.",
            limit.as_millis(),
            start.elapsed().as_millis()
        );
    }

    /// What `select` refuses is passed on.
    "7.4" fn other_errors_are_passed_on() {
        let (reader, _writer) = pipe();
        let errors = &[("select", libc::EBADF)];
        sys::inject(Some(Faults { seed: 7, one_in: 1, errors, short: false }));
        let answer = readable_within(&reader, Duration::from_millis(5));
        sys::inject(None);
        ensure!(
            answer.is_err(),
            "wrong-result",
            "`select` failed with EBADF, and the answer was {answer:?}."
        );
    }

    /// Every byte of every pipe, until all have ended.
    "7.5" fn all_pipes_to_their_ends() {
        let ((a, to_a), (b, to_b)) = (pipe(), pipe());
        let (copy_of_a, copy_of_b) = (a.try_clone().unwrap(), b.try_clone().unwrap());
        // However busy the machine is: each byte comes when the one before has been read.
        let helper = in_a_thread(move || {
            put(&to_a, b"a");
            emptied(&copy_of_a);
            put(&to_b, b"b");
            emptied(&copy_of_b);
            drop(to_b);
            thread::sleep(Duration::from_millis(15));
            put(&to_a, b"c");
        });
        // On a thread of its own: a `select` that asks for nothing never returns.
        let (give, take) = mpsc::channel();
        let ledger = ledger();
        in_a_thread(move || drop(give.send(gather(vec![a, b]))));
        drop(helper.join());
        let Ok(bytes) = take.recv_timeout(scaled(Duration::from_millis(500))) else {
            let calls = ledger.count(Event::Call("select"));
            fail!(
                "stuck",
                "Two pipes have ended, and `gather` has not come back since; calls of `select`: {calls}."
            );
        };
        let bytes = bytes.unwrap();
        ensure!(
            bytes == b"abc",
            "wrong-result",
            "`a`, `b` and `c` were written, in this order; {:?} was read.",
            String::from_utf8_lossy(&bytes)
        );
        let calls = ledger.count(Event::Call("select"));
        ensure!(
            calls <= 12,
            "busy-poll",
            "Three bytes and two ends took more than 12 calls of `select`; 5 are enough. An end \
             stays ready, as often as you ask."
        );
    }

    /// A pipe with much to say does not keep the others from being read.
    "7.5" fn no_pipe_is_held_up() {
        let pipes = ["a", "b"].map(|letter| {
            let (reader, writer) = pipe();
            put(&writer, letter.repeat(1000).as_bytes());
            reader
        });
        let bytes = gather(pipes.into()).unwrap();
        let (all, calls) = (bytes.len(), ledger().count(Event::Call("select")));
        ensure!(all == 2000, "data-lost", "Two pipes had 1,000 bytes each, and {all} were read.");
        ensure!(
            calls <= 20,
            "waits-for-one",
            "Two pipes had 1,000 bytes each. To read them took {calls} calls of `select`; with a read from \
             each after every call, 17 are enough."
        );
    }

    /// What `select` refuses is passed on, and so is what a read does.
    "7.5" fn what_fails_is_passed_on() {
        let (reader, _writer) = pipe();
        let Some(refused) = with_faults(all(&[("select", libc::EBADF)]), || gather(vec![reader])) else {
            let calls = many(ledger().count(Event::Call("select")), "call");
            fail!("misread", "`select` failed with EBADF, and `gather` went on: {calls}, and no answer.");
        };
        ensure!(refused.is_err(), "misread", "`select` failed with EBADF, and `gather` gave {refused:?}.");
        let (ours, theirs) = pair();
        reset(theirs);
        // What can be read can be broken as well.
        let broken = PipeReader::from(OwnedFd::from(ours));
        let bytes = gather(vec![broken]);
        ensure!(
            bytes.is_err(),
            "misread",
            "A read failed with ECONNRESET, and `gather` gave {bytes:?}; the error is needed."
        );
    }

    /// After a signal nothing is known: neither an error nor an answer.
    "7.5" fn a_signal_is_no_answer() {
        for seed in 1..=5 {
            let ((silent, to_silent), (quick, to_quick)) = (pipe(), pipe());
            let watched = quick.try_clone().unwrap();
            let helper = in_a_thread(move || {
                put(&to_quick, b"b");
                drop(to_quick);
                let read = emptied(&watched);
                drop(to_silent);
                read
            });
            let errors = &[("select", libc::EINTR)];
            sys::inject(Some(Faults { seed, one_in: 2, errors, short: false }));
            let bytes = gather(vec![silent, quick]);
            sys::inject(None);
            let right = bytes.as_ref().is_ok_and(|bytes| bytes == b"b");
            ensure!(right, "wrong-result", "`b` was written, and signals came: {bytes:?}; needed is Ok([98]).");
            ensure!(
                helper.join().unwrap(),
                "waits-for-one",
                "A signal came, and `b` was in its pipe; it was not read before the other pipe had ended."
            );
        }
    }
}

/// A wait that was polled, and so has left something with the reactor.
type Wait = Pin<Box<dyn Future<Output = io::Result<()>>>>;

thread_local! {
    /// The waits of this thread that belong to wakers.
    static KEPT: RefCell<Vec<Option<Wait>>> = const { RefCell::new(Vec::new()) };
}

/// A wait that belongs to a waker. A waker may go to another thread, and a wait may not: so it stays
/// here, and this is its number.
struct Kept(usize);

impl Kept {
    fn new(wait: Wait) -> Self {
        KEPT.with_borrow_mut(|kept| {
            kept.push(Some(wait));
            Kept(kept.len() - 1)
        })
    }

    fn take(&self) -> Option<Wait> {
        KEPT.with_borrow_mut(|kept| kept.get_mut(self.0)?.take())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Waits for `pipe`, in which there is nothing.
fn polled(pipe: &PipeReader) -> Wait {
    let pipe = pipe.try_clone().expect("there is room for a descriptor");
    let mut wait: Wait = Box::pin(async move { readable(&pipe).await });
    let pending = wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    ensure!(pending, "wrong-result", "A wait for an empty pipe was ready.");
    wait
}

/// A waker of a task that owns a wait.
struct Owner {
    _wait: Kept,
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

/// A waker that gives up another wait when it is woken, and passes the wake on.
struct Hasty {
    other: Kept,
    then: Waker,
}

impl Wake for Hasty {
    fn wake(self: Arc<Self>) {
        let other = self.other.take();
        if let Some(panic) = panics(|| drop(other)) {
            fail!(
                "woken-under-lock",
                "Whoever was woken gave up another wait at once, for which it needs the reactor. \
                 But that was still lent out: {panic}."
            );
        }
        self.then.wake_by_ref();
    }
}

/// Whether `pipe` is read empty within 200 ms.
fn emptied(pipe: &PipeReader) -> bool {
    (0..200).any(|_| {
        thread::sleep(Duration::from_millis(1));
        let mut left: libc::c_int = 0;
        // SAFETY: the descriptor is open, and `FIONREAD` writes an integer.
        unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut left) };
        left == 0
    })
}

/// Whether a write to `stream`, which does not block, would find room.
fn room(mut stream: &UnixStream) -> bool {
    stream.write(b"!").is_ok()
}

/// A pipe.
fn pipe() -> (PipeReader, PipeWriter) {
    io::pipe().expect("there is room for a pipe")
}

/// Writes `bytes`.
fn put(mut writer: &PipeWriter, bytes: &[u8]) {
    writer.write_all(bytes).expect("somebody can read it");
}

/// A thread that writes into the same ledger.
fn in_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let ledger = ledger();
    thread::spawn(move || {
        ledger.attach();
        f()
    })
}
