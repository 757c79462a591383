// The checks of chapter 7. `subject` is the code under examination.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join;
use under_await::ledger::watch;
use under_await::sys::{self, Faults};

use crate::support::{Bell, Event, checks, ensure, fail, later, ledger};

use subject::extend::{gather, readable_within};
use subject::{FdSet, block_on, readable, select};

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
        let mut reads = FdSet::new();
        reads.insert(empty.as_raw_fd()).unwrap();
        reads.insert(full.as_raw_fd()).unwrap();
        let ready = select(&mut reads, &mut FdSet::new(), Some(Duration::ZERO)).unwrap();
        let left = (reads.contains(full.as_raw_fd()), reads.contains(empty.as_raw_fd()));
        ensure!(
            ready == 1 && left == (true, false),
            "wrong-result",
            "Of two pipes in the set, one has a byte. `select` counted {ready}; the full one is \
             left: {}, the empty one: {}. Needed: 1, true, false.",
            left.0,
            left.1
        );
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
            "lost-wake",
            "Polled with two wakers, the reactor keeps {} of the first and {} of the second; it \
             needs 0 and 1, or the wake goes where the wait was and not where it is.",
            kept.0,
            kept.1
        );
    }

    /// Two waits on one thread, each over when its own pipe has something.
    "7.3" fn two_pipes_on_one_thread() {
        let ((a, to_a), (b, to_b)) = (pipe(), pipe());
        let helper = in_a_thread(move || {
            for (pipe, note) in [(&to_b, "writes into b"), (&to_a, "writes into a")] {
                thread::sleep(Duration::from_millis(15));
                ledger().record("helper", Event::Note(note));
                put(pipe, b"!");
            }
            (to_a, to_b)
        });
        let start = Instant::now();
        let (a, b) = block_on(join(
            watch("a", async { readable(&a).await.map(|()| start.elapsed()) }),
            watch("b", async { readable(&b).await.map(|()| start.elapsed()) }),
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

    /// Every byte of every pipe, until all have ended.
    "7.5" fn all_pipes_to_their_ends() {
        let ((a, to_a), (b, to_b)) = (pipe(), pipe());
        let helper = in_a_thread(move || {
            put(&to_a, b"a");
            thread::sleep(Duration::from_millis(15));
            put(&to_b, b"b");
            drop(to_b);
            thread::sleep(Duration::from_millis(15));
            put(&to_a, b"c");
        });
        // On a thread of its own: a `select` that asks for nothing never returns.
        let (give, take) = std::sync::mpsc::channel();
        let ledger = ledger();
        in_a_thread(move || drop(give.send(gather(vec![a, b]))));
        let Ok(bytes) = take.recv_timeout(Duration::from_millis(500)) else {
            let calls = ledger.count(Event::Call("select"));
            fail!(
                "stuck",
                "Two pipes have ended, one after 15 ms and one after 30, and after 500 ms `gather` \
                 has not; calls of `select`: {calls}."
            );
        };
        let bytes = bytes.unwrap();
        ensure!(
            bytes == b"abc",
            "wrong-result",
            "`a`, `b` and `c` were written, in this order; {:?} was read.",
            String::from_utf8_lossy(&bytes)
        );
        drop(helper.join());
        let calls = ledger.count(Event::Call("select"));
        ensure!(
            calls <= 12,
            "busy-poll",
            "Three bytes and two ends took more than 12 calls of `select`; 5 are enough. An end \
             stays ready, as often as one asks."
        );
    }
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
