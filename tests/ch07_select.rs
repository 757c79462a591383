//! Layer 7, invariant by invariant: real pipes, sockets, threads and signals.

#![cfg(all(unix, not(miri)))] // select(2).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::future::{join, select as select_of};

#[cfg(target_os = "linux")]
use support::clock::sleeps;
use support::{Bell, Event, Ledger, cloning, in_a_process, interruptions, later, ledger, within};
use under_await::ch07_select::{FdSet, block_on, readable, select, writable};
use under_await::sys::{self, Faults};
use under_await::waker_fn;

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(10);

/// An unread byte and a writable socket, for which somebody waited once and nobody waits now.
#[test]
fn readiness_that_nobody_waits_for_costs_nothing() {
    in_a_process("readiness_that_nobody_waits_for_costs_nothing", LIMIT, None, || {
        let (reader, writer) = pipe();
        let (socket, _peer) = UnixStream::pair().unwrap();
        put(&writer);
        block_on(async {
            let (read, write) = join(readable(&reader), writable(&socket)).await;
            read.and(write).unwrap();
            let (before, calls) = (sys::cpu_time().expect("this system says"), selects());
            later(1000).await;
            let busy = sys::cpu_time().unwrap() - before;
            assert!(busy <= Duration::from_millis(10), "{busy:?} of CPU time in a second");
            assert!(selects() - calls <= 5, "{} calls in a second", selects() - calls);
        });
    });
}

/// A wait that was polled in one task and moved into another wakes the other.
#[test]
fn the_newest_waker_wins() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        let mut wait = Box::pin(readable(&reader));
        let (bell, waker) = Bell::new();
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let helper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            put(&writer);
            writer
        });
        block_on(wait).unwrap();
        assert_eq!(bell.rung(), 0);
        drop(helper.join().unwrap());
    });
}

/// No borrow of the reactor is alive while a waker runs, and none while one is dropped.
#[test]
fn a_waker_may_use_the_reactor() {
    thread_local! {
        static WOKEN: Cell<u32> = const { Cell::new(0) };
    }
    /// A wait for `io`, started and dropped.
    fn use_the_reactor(io: &PipeReader) {
        let mut wait = pin!(readable(io));
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    struct Busy(PipeReader);
    impl Wake for Busy {
        fn wake(self: Arc<Self>) {
            use_the_reactor(&self.0);
            WOKEN.set(WOKEN.get() + 1);
        }
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            use_the_reactor(&self.0);
        }
    }
    within(LIMIT, || {
        let ((reader, writer), (other, _writer)) = (pipe(), pipe());
        let waker = || Waker::from(Arc::new(Busy(other.try_clone().unwrap())));
        let mut wait = Box::pin(readable(&reader));
        // The second one takes the place of the first, which is dropped.
        for _ in 0..2 {
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker())).is_pending());
        }
        put(&writer);
        block_on(later(10));
        assert_eq!(WOKEN.get(), 1);
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        let mut wait = Box::pin(readable(&other));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker())).is_pending());
        drop(wait);
    });
}

/// To clone a waker may run anybody's code as well.
#[test]
fn a_waker_that_is_cloned_may_use_the_reactor() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        let (shared, waker) = cloning(|| block_on(support::self_wakes(1)));
        let mut wait = pin!(readable(&reader));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        put(&writer);
        block_on(later(10));
        assert_eq!(shared.wakes(), 1);
    });
}

/// Two are ready at the same time, and the waker of the first panics.
#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    within(LIMIT, || {
        let mut pipes = [pipe(), pipe()];
        pipes.sort_by_key(|(reader, _)| reader.as_raw_fd()); // In this order they are woken.
        let mut waits = pipes.each_ref().map(|(reader, _)| Box::pin(readable(reader)));
        let (bell, waker) = Bell::new();
        for (wait, waker) in waits.iter_mut().zip([&waker_fn(|| panic!("in a waker")), &waker]) {
            assert!(wait.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        pipes.iter().for_each(|(_, writer)| put(writer));
        block_on(later(10));
        assert_eq!(bell.rung(), 1);
    });
}

/// Readiness that is not there, and is reported all the same, is a hint like any other.
#[test]
fn made_up_readiness_is_of_what_was_asked_for() {
    within(LIMIT, || {
        let ((asked, _writer), (other, _other_writer)) = (pipe(), pipe());
        sys::inject(Some(Faults { seed: 1, one_in: 1, errors: &[], short: true }));
        let mut sets = [FdSet::new(), FdSet::new()];
        sets[0].insert(asked.as_raw_fd()).unwrap();
        let [reads, writes] = &mut sets;
        assert!(select(reads, writes, None).unwrap() > 0);
        assert!(reads.contains(asked.as_raw_fd()) && !reads.contains(other.as_raw_fd()));
        block_on(readable(&asked)).unwrap();
        sys::inject(None);
        let [reads, writes] = &mut sets;
        assert_eq!(select(reads, writes, Some(Duration::ZERO)).unwrap(), 0);
    });
}

/// A wake from another thread is used up by the sleep that it ends: the next one sleeps as well.
#[test]
fn a_wake_ends_one_sleep() {
    within(LIMIT, || {
        for _ in 0..5 {
            let calls = selects();
            block_on(later(20));
            assert!(selects() - calls <= 2, "{} calls", selects() - calls);
        }
    });
}

/// However many the wakes between two polls, they are one byte; on the thread itself, they are none.
#[test]
fn many_wakes_are_one_byte() {
    within(LIMIT, || {
        let (ledger, mut woken) = (ledger(), false);
        block_on(poll_fn(|cx| {
            if woken {
                return Poll::Ready(());
            }
            woken = true;
            let (waker, ledger) = (cx.waker().clone(), ledger.clone());
            let others = thread::spawn(move || {
                ledger.attach();
                (0..100).for_each(|_| waker.wake_by_ref());
            });
            others.join().unwrap();
            Poll::Pending
        }));
        assert_eq!(ledger.count(Event::Call("write")), 1);
        block_on(support::self_wakes(100));
        assert_eq!(ledger.count(Event::Call("write")), 1);
    });
}

/// A timeout of less than select(2) can say is a short sleep, and not a look: of a hundred, the thread
/// gives up the processor in most.
#[test]
#[cfg(target_os = "linux")]
fn the_shortest_timeout_is_a_sleep() {
    within(LIMIT, || {
        let (mut none, before) = ([FdSet::new(), FdSet::new()], sleeps());
        for _ in 0..100 {
            let [reads, writes] = &mut none;
            assert_eq!(select(reads, writes, Some(Duration::from_nanos(1))).unwrap(), 0);
        }
        let slept = sleeps() - before;
        assert!(slept >= 50, "{slept} sleeps");
    });
}

/// A wait that was dropped is asked for no more: what it waited for ends no sleep.
#[test]
fn a_dropped_wait_leaves_the_set() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        {
            let (bell, waker) = Bell::new();
            let mut wait = Box::pin(readable(&reader));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(wait);
            put(&writer);
            drop(waker);
            assert_eq!(Arc::strong_count(&bell), 1, "its waker is still kept");
        }
        let calls = selects();
        block_on(later(30));
        assert!(selects() - calls <= 3, "{} calls", selects() - calls);
    });
}

/// A waker that another thread wakes ends the sleep in the kernel, and wakes while awake are kept.
#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    within(LIMIT, || {
        for ms in [0, 0, 0, 1, 5, 20] {
            block_on(later(ms));
        }
        block_on(support::self_wakes(1000));
    });
}

/// A waker may outlive its `block_on` and its thread. What it writes then goes into a pipe that has a
/// reader all the same: SIGPIPE would end a program that does not ignore it, as Rust's main does.
#[test]
fn a_wake_after_the_end_of_its_thread_is_no_signal() {
    in_a_process("a_wake_after_the_end_of_its_thread_is_no_signal", LIMIT, None, || {
        // SAFETY: the default action is no handler of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let waker = || block_on(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        let kept = thread::spawn(waker).join().unwrap();
        kept.wake();
        assert_eq!(ledger().count(Event::Call("write")), 1);
    });
}

/// A future that always wakes itself does not keep another from what the kernel says.
#[test]
fn a_future_that_wakes_itself_starves_nobody() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        let helper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            put(&writer);
            writer
        });
        let _ = block_on(select_of(pin!(readable(&reader)), pin!(support::self_wakes(u32::MAX))));
        drop(helper.join().unwrap());
    });
}

/// Nothing that is left in the pipe of an earlier sleep makes the next one spin.
#[test]
fn a_block_on_inside_another_does_no_harm() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        put(&writer);
        block_on(async {
            let mut outer = pin!(later(30));
            block_on(async { join(later(5), readable(&reader)).await.1 }).unwrap();
            outer.as_mut().await;
        });
    });
}

/// A handler without `SA_RESTART` interrupts the sleep again and again.
#[test]
fn signals_do_no_harm() {
    in_a_process("signals_do_no_harm", LIMIT, None, || {
        let (reader, writer) = pipe();
        let (stop, ledger) = (interruptions(u32::MAX), ledger());
        let writer = thread::spawn(move || {
            // The first call is the wait, and each of the others is one that a signal has ended.
            while ledger.count(Event::Call("select")) < 6 {
                thread::sleep(Duration::from_millis(3));
            }
            put(&writer);
            writer
        });
        block_on(readable(&reader)).unwrap();
        stop();
        drop(writer.join().unwrap());
    });
}

/// Beyond the set there is an error that says why, and the process lives.
#[test]
fn descriptor_1100_is_an_error() {
    in_a_process("descriptor_1100_is_an_error", LIMIT, None, || {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is ours to be written.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
        limit.rlim_cur = limit.rlim_max.min(1200);
        // SAFETY: `limit` is initialised.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        let (reader, writer) = pipe();
        put(&writer);
        // SAFETY: nobody has 1100 in this process.
        let copy = unsafe { libc::dup2(reader.as_raw_fd(), 1100) };
        assert_eq!(copy, 1100, "{}", io::Error::last_os_error());
        // SAFETY: just made.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        for error in [block_on(readable(&copy)), block_on(writable(&copy))] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("1100"), "{error}");
            assert!(error.to_string().contains("FD_SETSIZE"), "{error}");
        }
        block_on(readable(&reader)).expect("the others are served");
    });
}

/// Its waker stands in the reactor of one thread, so a wait stays on that thread: elsewhere it would
/// find no waker, think that it has fired, and leave the old one behind for a closed descriptor.
#[test]
fn a_wait_is_not_send() {
    // For a type that is `Send` both impls apply, and the calls below do not compile.
    trait Stays<Marker> {
        fn stays(&self) {}
    }
    impl<T> Stays<()> for T {}
    impl<T: Send> Stays<u8> for T {}
    let (reader, writer) = pipe();
    Stays::<_>::stays(&readable(&reader));
    Stays::<_>::stays(&writable(&writer));
}

/// A thread-local may keep a wait and outlive the reactor, or not.
#[test]
fn a_wait_may_outlive_its_reactor() {
    type Wait = Pin<Box<dyn Future<Output = io::Result<()>>>>;
    thread_local! {
        static KEPT: RefCell<Option<Wait>> = const { RefCell::new(None) };
    }
    within(LIMIT, || {
        for reactor_first in [true, false] {
            let thread = thread::spawn(move || {
                if reactor_first {
                    block_on(async {});
                }
                KEPT.set(None);
                let (reader, _) = pipe();
                let mut wait = Box::pin(async move { readable(&reader).await });
                assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                KEPT.set(Some(wait));
            });
            thread.join().unwrap();
        }
    });
}

/// A timeout is rounded up, and one too long for the kernel is cut.
#[test]
fn timeouts_are_rounded_up_and_cut() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        let wait = |timeout| {
            let mut reads = FdSet::new();
            reads.insert(reader.as_raw_fd()).unwrap();
            select(&mut reads, &mut FdSet::new(), Some(timeout)).unwrap()
        };
        for micros in [1, 999, 1001, 20_500] {
            let (start, time) = (std::time::Instant::now(), Duration::from_micros(micros));
            assert_eq!(wait(time + Duration::from_nanos(1)), 0);
            assert!(start.elapsed() >= time, "{:?} of {time:?}", start.elapsed());
        }
        // None of these fits into what the call takes; cut off, they would be 0 or less.
        for long in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 63)] {
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(10));
                    put(&writer);
                });
                assert_eq!(wait(long), 1, "{long:?}");
            });
            (&reader).read_exact(&mut [0]).unwrap();
        }
    });
}

/// How often this thread's ledger has seen `select`.
fn selects() -> u64 {
    Ledger::current().unwrap_or_else(ledger).count(Event::Call("select"))
}

/// A pipe.
fn pipe() -> (PipeReader, PipeWriter) {
    io::pipe().unwrap()
}

/// Writes a byte.
fn put(mut writer: &PipeWriter) {
    writer.write_all(b"!").unwrap();
}
