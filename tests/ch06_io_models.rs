//! Layer 6, invariant by invariant; and the traps of its chapter, by their numbers.
//!
//! Each test runs in a process of its own: signals and their handlers belong to the whole process,
//! and so do the threads that are counted.

#![cfg(all(unix, not(miri)))] // Pipes, signals, poll(2).

use std::env;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

use example::table::{MODELS, Model, report, select, tickers};
use example::traps::{Way, half_a_line, sent_and_answered, signal_before_sleep, too_late};
use under_await::ch06_io_models::{
    asynchronous, blocking, multiplexed, non_blocking, signal_driven,
};
use under_await::ledger::{Event, Ledger};
use under_await::sys::{self, Faults};

#[path = "../chapters/06-io-models/example.rs"]
#[allow(dead_code)]
mod example;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `test`, which the calling test consists of, in a new process; `name` is the caller's.
fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "UNDER_AWAIT_ALONE";
    if env::var_os(ALONE).is_none() {
        let mut child = Command::new(env::current_exe().unwrap());
        let run = child.args(["--exact", name, "--nocapture"]).env(ALONE, "").output().unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{name}, {}:\n{told}", run.status);
        return;
    }
    thread::spawn(|| {
        thread::sleep(LIMIT);
        eprintln!("it hangs");
        process::exit(1);
    });
    test();
}

/// The models that this system has.
fn models() -> impl Iterator<Item = (&'static str, Model)> {
    let linux_only = ["signal-driven", "asynchronous"];
    MODELS
        .into_iter()
        .filter(move |(name, _)| cfg!(target_os = "linux") || !linux_only.contains(name))
}

/// Pipes into which nobody writes yet.
fn silent(count: usize) -> (Vec<PipeReader>, Vec<PipeWriter>) {
    (0..count).map(|_| io::pipe().unwrap()).unzip()
}

/// Writes each letter of `script` into the pipe that it names (`a` is the first one), when the one
/// before has been read. However slow the machine is, there is one order in which they come.
fn in_step(script: &'static str, pipes: &[PipeReader], writers: Vec<PipeWriter>) {
    let pipes = pipes.iter().map(|pipe| pipe.try_clone().unwrap()).collect::<Vec<_>>();
    thread::spawn(move || {
        for letter in script.bytes() {
            let index = usize::from(letter - b'a');
            (&writers[index]).write_all(&[letter]).unwrap();
            let mut left: libc::c_int = 1;
            while left > 0 {
                thread::sleep(Duration::from_micros(200));
                // SAFETY: the descriptor is open, and `FIONREAD` writes an integer.
                unsafe { libc::ioctl(pipes[index].as_raw_fd(), libc::FIONREAD, &mut left) };
            }
        }
    });
}

/// Invariants 1 and 2: all bytes, and each is read before the next one comes.
#[test]
fn bytes_are_returned_in_the_order_in_which_they_came() {
    alone("bytes_are_returned_in_the_order_in_which_they_came", || {
        let script = "abbacabdddacbaabcdcbaaaabbbbccccddddabcdcba";
        for (name, model) in models().filter(|(name, _)| *name != "blocking") {
            let (pipes, writers) = silent(4);
            in_step(script, &pipes, writers);
            let (mut arrivals, mut wanted) = (model(&pipes).unwrap(), script.as_bytes().to_vec());
            if name == "asynchronous" {
                // Each read is another thread's, which may be slow to say that it is done.
                arrivals.sort();
                wanted.sort();
            }
            assert_eq!(String::from_utf8(arrivals), String::from_utf8(wanted), "{name}");
        }
    });
}

/// Invariant 1. The blocking model reads one pipe to its end, and then the other.
#[test]
fn who_blocks_reads_one_after_the_other() {
    alone("who_blocks_reads_one_after_the_other", || {
        let (pipes, writers) = silent(2);
        for letter in [b'b', b'a', b'b', b'a', b'a'] {
            (&writers[usize::from(letter - b'a')]).write_all(&[letter]).unwrap();
        }
        drop(writers);
        assert_eq!(blocking(&pipes).unwrap(), b"aaabb");
    });
}

/// The table of the chapter: six bytes, in the order of their arrival. One model does not keep to
/// it, and one, on a busy machine, does not get to run in time.
#[test]
fn every_model_does_the_job() {
    alone("every_model_does_the_job", || {
        for (name, model) in models() {
            let wanted = if name == "blocking" { "aaaabb" } else { "aabaab" };
            let same = |arrivals: &str| match name {
                "non-blocking" => arrivals.len() == wanted.len(),
                _ => arrivals == wanted,
            };
            // A wake that is 10 ms late finds two bytes there.
            assert!((0..5).any(|_| same(&report(model).unwrap().arrivals)), "{name}");
        }
    });
}

/// Invariant 3. The calls are few, but for `non_blocking`, whose calls are many.
#[test]
fn a_model_that_sleeps_makes_few_calls() {
    alone("a_model_that_sleeps_makes_few_calls", || {
        for (name, model) in models() {
            let report = report(model).unwrap();
            let calls = report.calls.iter().map(|(_, times)| times).sum::<u64>();
            match name {
                "non-blocking" => assert!(calls > 4000, "{name}: {:?}", report.calls),
                _ => assert!(calls < 80, "{name}: {:?}", report.calls),
            }
        }
    });
}

/// Invariant 3. A byte comes after 50 ms, and then the end. On a busy machine who spins may get little of
/// them, and is given a few more.
#[test]
fn who_spins_asks_a_thousand_times_where_one_wait_and_one_read_will_do() {
    alone("who_spins_asks_a_thousand_times_where_one_wait_and_one_read_will_do", || {
        let count = |model: Model| {
            let ledger = Ledger::open();
            assert_eq!(model(&tickers(&[(b'x', 50, 1)]).unwrap()).unwrap(), b"x");
            ["poll", "select", "read"].map(|name| ledger.count(Event::Call(name)))
        };
        let [polls, selects, _] = count(non_blocking);
        assert_eq!([polls, selects], [0, 0]);
        let asked = [(); 5].map(|()| asked_within_50_ms(non_blocking));
        assert!(asked.iter().any(|asked| *asked > 1000), "{asked:?} reads before the byte came");
        // One wait and one read for the byte, and the same for the end.
        assert_eq!(count(multiplexed), [2, 0, 2]);
        assert_eq!(count(select), [0, 2, 2]);
        assert_eq!(count(blocking), [0, 0, 2]);
    });
}

/// How often `model` reads before the byte comes.
fn asked_within_50_ms(model: Model) -> u64 {
    let (ledger, (pipes, writers)) = (Ledger::open(), silent(1));
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        let asked = ledger.count(Event::Call("read"));
        (&writers[0]).write_all(b"x").unwrap();
        asked
    });
    assert_eq!(model(&pipes).unwrap(), b"x");
    writer.join().unwrap()
}

/// Invariant 3. One wait serves all that are ready.
#[test]
fn ten_pipes_that_are_ready_take_one_wait() {
    alone("ten_pipes_that_are_ready_take_one_wait", || {
        let (pipes, writers) = silent(10);
        writers.iter().for_each(|mut writer| writer.write_all(b"x").unwrap());
        drop(writers);
        let ledger = Ledger::open();
        assert_eq!(multiplexed(&pipes).unwrap(), b"xxxxxxxxxx");
        // One for the ten bytes, and one for the ten ends.
        assert_eq!(ledger.count(Event::Call("poll")), 2);
        assert_eq!(ledger.count(Event::Call("read")), 20);
    });
}

/// Invariant 1. Every other call that can be interrupted is, and every read gets less than it
/// asked for.
#[test]
fn interruptions_lose_nothing() {
    const ERRORS: &[(&str, i32)] = &[
        ("read", libc::EINTR),
        ("poll", libc::EINTR),
        ("select", libc::EINTR),
        ("sigwaitinfo", libc::EINTR),
        ("aio_suspend", libc::EINTR),
    ];
    alone("interruptions_lose_nothing", || {
        for seed in 1..=20 {
            for (name, model) in models() {
                let text = "the quick brown fox jumps over the lazy dog".repeat(20);
                let (pipes, writers) = silent(3);
                (&writers[2]).write_all(text.as_bytes()).unwrap();
                drop(writers);
                sys::inject(Some(Faults { seed, one_in: 2, errors: ERRORS, short: true }));
                let arrivals = model(&pipes).unwrap();
                sys::inject(None);
                let arrivals = String::from_utf8(arrivals).unwrap();
                assert!(arrivals == text, "{name}, seed {seed}: {arrivals}");
            }
        }
    });
}

/// glibc and the others put the error of an asynchronous read into the request, and not into `errno`.
#[test]
fn the_error_of_an_asynchronous_read_is_its_own() {
    alone("the_error_of_an_asynchronous_read_is_its_own", || {
        for model in [asynchronous, blocking] {
            let (_reader, writer) = std::io::pipe().unwrap();
            let not_to_be_read = PipeReader::from(OwnedFd::from(writer));
            let error = model(&[not_to_be_read]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        }
    });
}

/// Every call that a model makes may fail: then the model gives that error, at once, and nothing hangs.
#[test]
fn what_fails_is_told() {
    const ERRORS: &[(&str, i32)] = &[
        ("aio_read", libc::EAGAIN),
        ("aio_return", libc::EIO),
        ("aio_suspend", libc::EINVAL),
        ("fcntl", libc::EBADF),
        ("ioctl", libc::ENOTTY),
        ("poll", libc::ENOMEM),
        ("read", libc::EIO),
        ("select", libc::ENOMEM),
        ("sigwaitinfo", libc::EINVAL),
    ];
    alone("what_fails_is_told", || {
        let source = include_str!("../src/ch06_io_models.rs");
        let sites = ["call(", "restart("].into_iter().flat_map(|how| source.split(how));
        let mut sites = sites.filter_map(|after| after.strip_prefix('"')?.split('"').next());
        assert!(
            sites.all(|site| ERRORS.iter().any(|(name, _)| *name == site)),
            "a site is forgotten"
        );
        for (name, model) in models() {
            for error in ERRORS {
                let (pipes, writers) = silent(2);
                for mut writer in &writers {
                    writer.write_all(b"x").unwrap();
                }
                // Somebody has to wait: the ends come later.
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(20));
                    drop(writers);
                });
                let (ledger, errors) = (Ledger::open(), std::slice::from_ref(error));
                sys::inject(Some(Faults { seed: 1, one_in: 1, errors, short: false }));
                let result = model(&pipes);
                sys::inject(None);
                let told = result.err().and_then(|told| told.raw_os_error());
                let called = ledger.count(Event::Call(error.0)) > 0;
                assert_eq!(told, called.then_some(error.1), "{name}, {error:?}");
            }
        }
    });
}

/// Invariant 1. Signals that a handler takes, many of them, while a model waits.
#[test]
fn signals_lose_nothing() {
    extern "C" fn nothing(_: libc::c_int) {}
    alone("signals_lose_nothing", || {
        let handler = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: an action is integers and a pointer, for which all zeros will do: no `SA_RESTART`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler;
        // SAFETY: the handler takes one argument, as the action says.
        unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
        for (name, model) in models() {
            let pipes = tickers(&[(b'a', 10, 5), (b'b', 25, 2)]).unwrap();
            let arrivals = thread::scope(|scope| {
                let (give, take) = std::sync::mpsc::channel();
                let reading = scope.spawn(move || {
                    // SAFETY: it takes nothing and cannot fail.
                    give.send(unsafe { libc::pthread_self() } as usize).unwrap();
                    model(&pipes)
                });
                let thread = take.recv().unwrap();
                while !reading.is_finished() {
                    // SAFETY: the thread is joined only after this.
                    unsafe { libc::pthread_kill(thread as libc::pthread_t, libc::SIGUSR1) };
                    thread::sleep(Duration::from_millis(1));
                }
                reading.join().unwrap()
            });
            let mut arrivals = arrivals.unwrap();
            arrivals.sort();
            assert_eq!(arrivals, b"aaaaabb", "{name}");
        }
    });
}

/// Invariant 4. Every other row that is not ready is reported as ready.
#[test]
fn readiness_that_is_not_there_costs_a_call_and_no_sleep() {
    alone("readiness_that_is_not_there_costs_a_call_and_no_sleep", || {
        for seed in 1..=20 {
            // A read that waits would wait for a pipe whose letter comes only after another's.
            let (pipes, writers) = silent(2);
            in_step("aabaaababbbbbaab", &pipes, writers);
            sys::inject(Some(Faults { seed, one_in: 2, errors: &[], short: true }));
            let arrivals = multiplexed(&pipes).unwrap();
            sys::inject(None);
            assert_eq!(String::from_utf8_lossy(&arrivals), "aabaaababbbbbaab", "seed {seed}");
        }
    });
}

/// Pipes that have ended, that end without a byte, and none at all.
#[test]
fn an_end_is_enough() {
    alone("an_end_is_enough", || {
        for (name, model) in models() {
            let (pipes, writers) = silent(3);
            drop(writers);
            assert!(model(&pipes).unwrap().is_empty(), "{name}");
            assert!(model(&[]).unwrap().is_empty(), "{name}");
        }
    });
}

/// What is not on this system says so, in a sentence.
#[test]
#[cfg(not(target_os = "linux"))]
fn what_is_not_here_says_so() {
    let error = signal_driven(&[]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("Linux"), "{error}");
}

/// A descriptor for which a set has no bit is an error, and not the end of the process.
#[test]
fn select_refuses_a_descriptor_without_a_bit() {
    alone("select_refuses_a_descriptor_without_a_bit", || {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is ours.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
        limit.rlim_cur = limit.rlim_max.min(4096);
        // SAFETY: as above.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        let (pipe, _writer) = io::pipe().unwrap();
        let (first, size) = (pipe.as_raw_fd(), libc::FD_SETSIZE as libc::c_int);
        // SAFETY: the descriptor is borrowed, and the new one is nobody's yet.
        let fd = unsafe { libc::fcntl(first, libc::F_DUPFD, size) };
        assert!(fd >= size, "{fd}");
        // SAFETY: as above.
        let high = unsafe { <PipeReader as std::os::fd::FromRawFd>::from_raw_fd(fd) };
        let error = select(&[high]).unwrap_err();
        assert!(error.to_string().contains(&fd.to_string()), "{error}");
    });
}

/// UNP's batch client: closing at the end of the input throws the answer away.
#[test]
fn close_loses_two_million_bytes_and_shutdown_none() {
    alone("close_loses_two_million_bytes_and_shutdown_none", || {
        assert_eq!(sent_and_answered(2_000_000, true).unwrap(), 0);
        assert_eq!(sent_and_answered(2_000_000, false).unwrap(), 2_000_000);
    });
}

/// Rust's programs ignore `SIGPIPE`: whoever writes to nobody is told by an error, and lives.
#[test]
fn a_write_to_nobody_is_an_error() {
    alone("a_write_to_nobody_is_an_error", || {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        // SAFETY: the byte is a constant.
        let written = unsafe { libc::write(writer.as_raw_fd(), b"!".as_ptr().cast(), 1) };
        assert_eq!(written, -1);
        assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::BrokenPipe);
        // SAFETY: it takes two numbers.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        assert_eq!(before, libc::SIG_IGN);
    });
}

/// UNP's race between the look at a flag and the sleep.
#[test]
fn select_sleeps_through_the_signal_before_it_and_pselect_does_not() {
    alone("select_sleeps_through_the_signal_before_it_and_pselect_does_not", || {
        for _ in 0..3 {
            assert_eq!(signal_before_sleep(Way::Select).unwrap(), 0, "the timeout ends it");
            let error = signal_before_sleep(Way::Pselect).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            assert_eq!(signal_before_sleep(Way::SelfPipe).unwrap(), 1, "the pipe is readable");
        }
    });
}

/// UNP's denial of service: a reader that insists on a whole line holds everybody up. Only Linux
/// makes an accepted connection wait when its listener does not.
#[test]
fn half_a_line_holds_up_who_reads_until_it_would_block_and_then_blocks() {
    alone("half_a_line_holds_up_who_reads_until_it_would_block_and_then_blocks", || {
        assert!(half_a_line(true).unwrap());
        if cfg!(target_os = "linux") {
            assert!(!half_a_line(false).unwrap());
        }
    });
}

/// UNP's blocking accept: the client that was reported has gone, and a listener that blocks waits for
/// the next one, with everybody else.
#[test]
fn accept_waits_for_the_next_client_unless_it_must_not_block() {
    alone("accept_waits_for_the_next_client_unless_it_must_not_block", || {
        too_late(false).unwrap().1.expect("the next client ends it");
        let error = too_late(true).unwrap().1.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    });
}

/// What only Linux has.
#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use crate::example::traps::linux::announced;

    /// The signals that fit into the queue name their pipe; one `SIGIO` stands for all the others.
    #[test]
    fn a_full_queue_of_signals_is_one_sigio() {
        alone("linux::a_full_queue_of_signals_is_one_sigio", || {
            assert_eq!(announced(20, u64::MAX).unwrap(), (20, 0));
            assert_eq!(announced(20, 0).unwrap(), (0, 1));
            let (named, bare) = announced(20, 8).unwrap();
            assert!(named <= 8, "{named}");
            assert_eq!(bare, 1);
        });
    }

    /// Invariant 1. There is no room for any signal that names a pipe.
    #[test]
    fn a_full_queue_of_signals_loses_nothing() {
        alone("linux::a_full_queue_of_signals_loses_nothing", || {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `none` is borrowed until it returns.
            let result = unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &none) };
            assert_eq!(result, 0);
            let (pipes, writers) = silent(3);
            in_step("abccbacabba", &pipes, writers);
            assert_eq!(signal_driven(&pipes).unwrap(), b"abccbacabba");
        });
    }

    /// Many bytes for each signal, and many signals for each read.
    #[test]
    fn a_signal_may_stand_for_many_writes() {
        alone("linux::a_signal_may_stand_for_many_writes", || {
            let (pipes, writers) = silent(10);
            let bursts = thread::spawn(move || {
                for burst in 0..20 {
                    for mut writer in &writers {
                        for _ in 0..burst {
                            writer.write_all(&[b'x'; 100]).unwrap();
                        }
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let arrivals = signal_driven(&pipes).unwrap();
            bursts.join().unwrap();
            assert_eq!(arrivals.len(), 10 * 190 * 100);
        });
    }

    /// A signal that comes when nobody waits any more does not end the process.
    #[test]
    fn a_late_signal_does_no_harm() {
        alone("linux::a_late_signal_does_no_harm", || {
            signal_driven(&tickers(&[(b'a', 1, 1)]).unwrap()).unwrap();
            // SAFETY: it takes the number of a signal.
            assert_eq!(unsafe { libc::raise(libc::SIGRTMIN()) }, 0);
            // A stale signal is a look for nothing.
            assert_eq!(signal_driven(&tickers(&[(b'b', 1, 1)]).unwrap()).unwrap(), b"b");
        });
    }
}

/// How glibc does it, and what that looks like.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::fs;
    use std::time::Instant;

    use super::*;
    use crate::example::table::threads;
    use crate::example::traps::linux::{behind, eightfold, helpers};
    use under_await::ch06_io_models::asynchronous;

    /// glibc: 20 helpers, however many requests; one for each descriptor, however many requests;
    /// and none when there has been nothing to do for a second.
    #[test]
    fn glibc_has_twenty_helpers_and_one_for_each_descriptor() {
        alone("glibc::glibc_has_twenty_helpers_and_one_for_each_descriptor", || {
            let before = threads().unwrap();
            let (pipe, writers) = silent(1);
            assert_eq!(helpers(before, &eightfold(&pipe[0]), writers).unwrap(), 1);
            let (pipes, writers) = silent(5);
            assert_eq!(helpers(before, &pipes, writers).unwrap(), 5);
            let (pipes, writers) = silent(25);
            assert_eq!(helpers(before, &pipes, writers).unwrap(), 20);
            let deadline = Instant::now() + Duration::from_secs(5);
            while threads().unwrap() > before && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(50));
            }
            assert_eq!(threads().unwrap(), before, "idle for a second, and still there");
        });
    }

    /// The 21st request waits for one of the 20 before it, though its byte is there.
    #[test]
    fn glibc_lets_the_twenty_first_wait() {
        alone("glibc::glibc_lets_the_twenty_first_wait", || {
            assert_eq!(behind(20, multiplexed).unwrap(), "za");
            assert_eq!(behind(20, asynchronous).unwrap(), "az");
            // On a busy machine the last of 20 helpers may be late.
            assert!((0..5).any(|_| behind(19, asynchronous).unwrap() == "za"));
        });
    }

    /// The helpers are the two threads more of the asynchronous model; the others need one.
    #[test]
    fn only_the_asynchronous_model_has_helpers() {
        alone("glibc::only_the_asynchronous_model_has_helpers", || {
            for (name, model) in MODELS {
                let wanted = if name == "asynchronous" { 3 } else { 1 };
                assert_eq!(report(model).unwrap().threads, Some(wanted), "{name}");
            }
        });
    }

    /// What the chapter shows of the other two runs of its example is what they print, but for the
    /// numbers after a `~`: `BLESS=1 cargo test --test ch06_io_models` writes it anew.
    #[test]
    fn the_chapter_shows_what_the_example_prints() {
        alone("glibc::the_chapter_shows_what_the_example_prints", || {
            type Show = fn(&mut Vec<u8>) -> io::Result<()>;
            let shows: [(_, Show); 2] =
                [("threads", example::table::threads_and_rows), ("traps", example::traps::show)];
            for (name, show) in shows {
                let root = concat!(env!("CARGO_MANIFEST_DIR"), "/chapters/06-io-models/");
                let path = format!("{root}{name}.txt");
                let shown = fs::read_to_string(&path).unwrap_or_default();
                let mut now = String::new();
                // On a busy machine a helper that is idle after one scene may be late for the next: then
                // glibc gives a helper to the 21st request, and none to one of those before it.
                let same = (0..5).any(|_| {
                    let mut out = Vec::new();
                    show(&mut out).unwrap();
                    now = String::from_utf8(out).unwrap();
                    timeless(&shown) == timeless(&now)
                });
                if !same && env::var_os("BLESS").is_some() {
                    fs::write(&path, &now).unwrap();
                    continue;
                }
                assert_eq!(timeless(&shown), timeless(&now), "{name}.txt is stale: set BLESS=1");
            }
        });
    }

    /// `text` without the numbers that follow a `~`.
    fn timeless(text: &str) -> String {
        let digits = |c: char| c.is_ascii_digit() || c == ',';
        text.split('~').map(|part| part.trim_start_matches(digits)).collect::<Vec<_>>().join("~")
    }
}
