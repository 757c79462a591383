// The checks of chapter 6. `subject` is the code under examination.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use under_await::sys::{self, Faults};

use crate::support::faults::{all, only, with_faults};
use crate::support::net::reset;
use crate::support::{
    Event, Ledger, allocations, checks, ensure, fail, if_it_sleeps, interruptions, ledger, many, scaled,
};

use subject::extend::{SelfPipe, add_flags, errno, exchange, on_signal, timeout};
use subject::{Answer, ask, multiplexed, non_blocking};

checks! {
    /// 0 bytes are the end, and `EAGAIN` is "not yet".
    "6.1" fn three_answers() {
        let (reader, mut writer) = io::pipe().unwrap();
        sys::set_nonblocking(&reader).unwrap();
        let mut bytes = b"oh ".to_vec();
        for (wanted, when) in [
            (Answer::NothingYet, "whose writer has not written"),
            (Answer::Bytes, "with 3 bytes in it"),
            (Answer::NothingYet, "that has been emptied"),
            (Answer::End, "whose writer has closed it"),
        ] {
            match wanted {
                Answer::Bytes => writer.write_all(b"hey").unwrap(),
                Answer::End => writer = io::pipe().unwrap().1,
                Answer::NothingYet => {}
            }
            let got = ask(&reader, &mut bytes);
            let right = got.as_ref().is_ok_and(|got| *got == wanted);
            ensure!(right, "misread", "A pipe {when} gave {got:?}; it is {wanted:?}.");
        }
        let text = String::from_utf8_lossy(&bytes);
        let read = text.strip_prefix("oh ");
        ensure!(read.is_some(), "data-lost", "`oh ` had arrived before, and it is gone: {text:?}.");
        let count = bytes.len().saturating_sub(3);
        ensure!(
            count <= 3,
            "wrong-bytes",
            "`hey` was written, which is 3 bytes, and {count} were added to `arrivals`. No more than 3 came out of \
             the pipe."
        );
        ensure!(read == Some("hey"), "data-lost", "`hey` was written, and {read:?} was read.");
    }

    /// What is none of the three answers is passed on.
    "6.1" fn an_error_stays_an_error() {
        let directory = PipeReader::from(OwnedFd::from(File::open("/").unwrap()));
        let got = ask(&directory, &mut Vec::new());
        ensure!(got.is_err(), "misread", "Reading a directory, an error, gave {got:?}.");
        let (reader, _writer) = io::pipe().unwrap();
        sys::inject(Some(all(&[("read", libc::EIO)])));
        let got = ask(&reader, &mut Vec::new());
        sys::inject(None);
        ensure!(got.is_err(), "misread", "read() failed with `EIO`, an error, and `ask` gave {got:?}.");
    }

    /// Asking in turn reads everything, in the order in which it comes.
    "6.1" fn asked_in_turn() {
        let arrivals = read_all(non_blocking(&in_step("abbaba")));
        let same = sorted(&arrivals) == "aaabbb";
        ensure!(same, "data-lost", "`abbaba` came, and {arrivals:?} was read.");
        ensure!(arrivals == "abbaba", "waits-for-one", "`abbaba` came, and {arrivals:?} was read.");
    }

    /// The pipes are read in the order in which they have something to say.
    "6.2" fn in_the_order_of_arrival() {
        let arrivals = read_all(multiplexed(&in_step("abbaba")));
        let same = sorted(&arrivals) == "aaabbb";
        ensure!(same, "data-lost", "`abbaba` came, and {arrivals:?} was read.");
        ensure!(arrivals == "abbaba", "waits-for-one", "`abbaba` came, and {arrivals:?} was read.");
    }

    /// For each of the things that happen there is one wait, and one read.
    "6.2" fn one_wait_and_one_read() {
        let pipes = [script("..b...."), script("a....c..")];
        read_all(multiplexed(&pipes));
        let (polls, reads) = (calls("poll"), calls("read"));
        // Fewer if two things came at once; never more.
        let few = polls <= 5 && reads <= 5;
        ensure!(
            few,
            "spins",
            "Three bytes and two ends took {} and {}; 5 of each are enough.",
            many(polls, "wait"), many(reads, "read")
        );
    }

    /// A pipe with much to say does not keep the others from being asked.
    "6.2" fn none_is_held_up() {
        let pipes = ["a", "b"].map(|letter| {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(letter.repeat(1000).as_bytes()).unwrap();
            reader
        });
        let arrivals = read_all(multiplexed(&pipes));
        let (all, first) = (arrivals.len(), arrivals.find('b').unwrap_or(arrivals.len()));
        ensure!(all == 2000, "data-lost", "Two pipes had 1,000 bytes each, and {all} were read.");
        ensure!(
            first <= 64,
            "waits-for-one",
            "Two pipes had 1,000 bytes each. Before the first byte of the second one, {first} of the \
             first one were read. A read takes 64, and then the other one is next."
        );
    }

    /// A report may be false: then there is nothing to read yet, and the pipe has not ended.
    "6.2" fn a_false_report_is_no_end() {
        let pipes = [script("..b...."), script("a....c..")];
        sys::inject(Some(Faults { seed: 7, one_in: 2, errors: &[], short: true }));
        let arrivals = read_all(multiplexed(&pipes));
        sys::inject(None);
        ensure!(
            sorted(&arrivals) == "abc",
            "data-lost",
            "poll() named pipes in which there was nothing yet, as it may. `abc` came, and {arrivals:?} \
             was read."
        );
    }

    /// A pipe that has ended is not waited for any more.
    "6.2" fn an_end_is_taken_out() {
        let pipes = [script(""), script("......b.")];
        let arrivals = read_all(multiplexed(&pipes));
        ensure!(arrivals == "b", "data-lost", "`b` came, and {arrivals:?} was read.");
        let polls = calls("poll");
        ensure!(polls <= 8, "spins", "A byte and two ends took {polls} waits; 3 are enough.");
    }

    /// A signal that interrupts the wait is no error.
    "6.2" fn interrupted_by_a_signal() {
        let pipes = [script("......b."), script("...a....")];
        let stop = interruptions(u32::MAX);
        let arrivals = multiplexed(&pipes);
        stop();
        let error = arrivals.as_ref().err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(error.is_empty(), "misread", "A signal came during poll(), and the whole loop gave up: {error}.");
        let arrivals = read_all(arrivals);
        ensure!(sorted(&arrivals) == "ab", "data-lost", "`ab` came, and {arrivals:?} was read.");
    }

    /// After a signal the marks in the table are those of the wait before, and no reason to ask.
    "6.2" fn a_signal_marks_nothing() {
        let (pipes, mut writers) = silent(2);
        writers[0].write_all(b"a").unwrap();
        let waits = ledger();
        thread::spawn(move || {
            while waits.count(Event::Call("poll")) < 3 {
                thread::sleep(Duration::from_millis(1));
            }
            drop(writers);
        });
        sys::inject(Some(only(1, &[("poll", libc::EINTR)])));
        let arrivals = multiplexed(&pipes);
        sys::inject(None);
        let error = arrivals.as_ref().err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(
            error.is_empty(),
            "misread",
            "The second poll() failed with `EINTR`, and the whole loop gave up: {error}."
        );
        let reads = calls("read");
        ensure!(
            reads <= 3,
            "spins",
            "A signal ended the second of three waits. A byte and two ends took {}; 3 are enough. What is marked \
             after a signal was marked before it, and has been read.",
            many(reads, "read")
        );
    }

    /// What is none of the answers is an error, and ends the loop: it is passed on.
    "6.2" fn an_error_ends_the_loop() {
        passed_on("multiplexed", &[("poll", libc::EINVAL)], || multiplexed(&[script("a"), script("")]));
        passed_on("multiplexed", &[("read", libc::EIO)], || multiplexed(&[script("a"), script("")]));
    }

    /// Without pipes there is nothing to wait for.
    "6.2" fn no_pipes() {
        let arrivals = read_all(multiplexed(&[]));
        ensure!(arrivals.is_empty(), "data-lost", "No pipes gave {arrivals:?}.");
    }

    /// The flags that are added are set, and those that were set stay.
    "6.3" fn flags_are_added() {
        let (reader, _writer) = io::pipe().unwrap();
        let mut wanted = 0;
        for (flag, name) in [(libc::O_NONBLOCK, "O_NONBLOCK"), (libc::O_APPEND, "O_APPEND")] {
            add_flags(&reader, flag).unwrap();
            let is = flags(&reader);
            ensure!(
                is & flag != 0,
                "wrong-result",
                "`{name}` was added, and is not among the flags of the open file, which `F_GETFL` reads. The \
                 descriptor has flags of its own, and they are others."
            );
            ensure!(is & wanted == wanted, "overwritten", "`{name}` was added, and now `O_NONBLOCK` is gone.");
            wanted |= flag;
        }
        add_flags(&reader, libc::O_NONBLOCK).unwrap();
        let still = flags(&reader) & wanted == wanted;
        ensure!(still, "overwritten", "`O_NONBLOCK` was set, was added once more, and now is gone.");
    }

    /// What fcntl(2) refuses is passed on, whichever of the calls it is.
    "6.3" fn a_refusal_is_an_error() {
        const REFUSED: &[(&str, i32)] = &[("fcntl", libc::EPERM)];
        let (reader, _writer) = io::pipe().unwrap();
        for (faults, which) in [
            (all(REFUSED), "Every fcntl()"),
            (only(0, REFUSED), "The first fcntl(), and no other,"),
            (only(1, REFUSED), "The second fcntl(), and no other,"),
        ] {
            sys::inject(Some(faults));
            let added = add_flags(&reader, libc::O_APPEND);
            sys::inject(None);
            ensure!(
                added.is_err(),
                "wrong-result",
                "{which} failed with EPERM, and `add_flags` gave {added:?}."
            );
        }
    }

    /// A wait is as long as was asked for, up to the next microsecond, and never a loop of waits of 0 µs.
    "6.4" fn never_too_short() {
        let microsecond = Duration::from_micros(1);
        let nanosecond = Duration::from_nanos(1);
        for (duration, wanted) in [
            (Duration::ZERO, (0, 0)),
            (nanosecond, (0, 1)),
            (microsecond, (0, 1)),
            (microsecond + nanosecond, (0, 2)),
            (Duration::from_millis(2500), (2, 500_000)),
            // Seventeen digits: more than a floating-point number has room for.
            (Duration::from_secs(50_000_000) + nanosecond, (50_000_000, 1)),
            (Duration::from_secs(99_999_999) + microsecond, (99_999_999, 1)),
        ] {
            is_timeout(duration, wanted);
        }
    }

    /// What is rounded up to a whole second is a second: a million microseconds are `EINVAL`, if not on Linux.
    "6.4" fn a_million_is_a_second() {
        let nanosecond = Duration::from_nanos(1);
        for seconds in [1, 2, 1000] {
            let duration = Duration::from_secs(seconds) - nanosecond;
            is_timeout(duration, (seconds as libc::time_t, 0));
        }
    }

    /// A wait too long for the kernel is cut short: whoever waits looks at the clock, and waits again.
    "6.4" fn longer_than_the_longest() {
        let most = 100_000_000;
        let longest = Duration::from_secs(most as u64);
        for duration in [longest, longest + Duration::from_nanos(1), Duration::from_secs(1 << 63), Duration::MAX] {
            let got = seconds_and_micros(duration);
            ensure!(
                got == (most, 0),
                "wrong-result",
                "For {duration:?} the timeout was {got:?}; `LONGEST` is needed, {:?}, for all that is as long or longer.",
                (most, 0)
            );
        }
    }

    /// A signal that comes before the sleep ends it.
    "6.5" fn a_signal_before_the_sleep() {
        let pipe = SelfPipe::new(libc::SIGUSR2).unwrap();
        raise(1);
        let woken = sleep(pipe.row());
        ensure!(woken, "slept-through", "The signal came before poll(), and poll() slept on for 200 ms.");
        let came = pipe.came().unwrap();
        ensure!(came, "slept-through", "The signal came, and `came()` says that it did not.");
    }

    /// The handler runs as often as the signal comes, and the pipe is still there for the next one.
    "6.5" fn one_signal_after_the_other() {
        let pipe = SelfPipe::new(libc::SIGUSR2).unwrap();
        for signal in 1..=3 {
            raise(1);
            let came = pipe.came().unwrap();
            ensure!(
                came,
                "slept-through",
                "Signal {signal} of three came when those before had been seen, and `came()` says that it did \
                 not. Its byte is not in the pipe."
            );
            let readable = wait(pipe.row(), 0);
            ensure!(
                !readable,
                "overwritten",
                "Signal {signal} came, and its byte was taken out. poll() reports the pipe all the same: nobody has its \
                 other end any more. It was closed, and the next signal has no pipe."
            );
        }
    }

    /// What a signal has left is used up; further signals add nothing to it.
    "6.5" fn many_signals_wake_once() {
        let pipe = SelfPipe::new(libc::SIGUSR2).unwrap();
        raise(500);
        let came = pipe.came().unwrap();
        ensure!(came, "slept-through", "500 signals came, and `came()` says that none did.");
        let woken = sleep(pipe.row());
        ensure!(!woken, "spins", "`came()` had emptied the pipe, and poll() found it readable.");
    }

    /// The handler leaves `errno` as it was, also when the pipe is full.
    "6.5" fn errno_stays() {
        let _pipe = SelfPipe::new(libc::SIGUSR2).unwrap();
        ledger().record("signals", Event::Note("100,000 of them, more than the pipe has room for"));
        raise(100_000);
        // SAFETY: it points to this thread's `errno`.
        unsafe { *errno() = libc::ENOTTY };
        raise(1);
        // SAFETY: as above.
        let now = unsafe { *errno() };
        let error = io::Error::from_raw_os_error(now);
        ensure!(
            now == libc::ENOTTY,
            "overwritten",
            "The pipe was full when one more signal came. Before it `errno` was {}, and after it {now}: {error}.",
            libc::ENOTTY
        );
    }

    /// The handler may come in the middle of an allocation, so it makes none.
    "6.5" fn the_handler_allocates_nothing() {
        let _pipe = SelfPipe::new(libc::SIGUSR2).unwrap();
        let count = allocations(|| raise(1));
        ensure!(
            count == 0,
            "crashed",
            "The handler of one signal made {}. If the signal comes while its thread is \
             allocating, and holds the allocator's lock, the handler waits for its own thread.",
            many(count, "allocation")
        );
    }

    /// The handler may come while its thread holds a lock, so it takes none.
    "6.5" fn the_handler_locks_nothing() {
        let _pipe = SelfPipe::new(libc::SIGUSR2).unwrap();
        let before = ledger().lines();
        raise(1);
        let lines = ledger().lines() - before;
        ensure!(
            lines == 0,
            "crashed",
            "The handler of one signal wrote into the ledger, which has a lock: {}. If the signal comes while its \
             thread writes there, the handler waits for its own thread.",
            many(lines, "line")
        );
        let through = while_others_print(|| raise(1));
        ensure!(
            through,
            "crashed",
            "Another thread was about to print, and the handler waited for it: standard output and standard error \
             have locks. If the signal comes while its own thread prints, the handler waits for that."
        );
    }

    /// A server that answers at the end of its input is told of the end, and answers.
    "6.6" fn all_of_it_comes_back() {
        let server = server(|stream| {
            let bytes = hear_out(stream)?;
            stream.write_all(&bytes)
        });
        Ledger::close(); // Into how many pieces all of it falls is the kernel's business.
        comes_back(&server, 2_000_000);
    }

    /// A server that answers while it reads is read from while it is written to.
    "6.6" fn an_echo_comes_back() {
        if_it_sleeps(|| {
            ("both-wait", "`exchange` sleeps, and so does the server, which sends back what it reads: until there \
                           is more of the input, or its end, or until what it has sent is read. Each waits for \
                           the other.")
        });
        let server = server(|stream| io::copy(&mut stream.try_clone()?, stream).map(drop));
        // More than all the buffers on the way have room for.
        comes_back(&server, 16_000_000);
    }

    /// While the server thinks, the client sleeps.
    "6.6" fn waits_for_the_answer() {
        let server = server(|stream| {
            let bytes = hear_out(stream)?;
            thread::sleep(Duration::from_millis(100));
            stream.write_all(&bytes)
        });
        comes_back(&server, 1000);
        let (polls, reads) = (calls("poll"), calls("read"));
        let few = polls <= 20 && reads <= 20;
        ensure!(
            few,
            "spins",
            "An answer that took 100 ms took {} and {}; 3 and 2 are enough.",
            many(polls, "wait"), many(reads, "read")
        );
    }

    /// The answer may come in pieces: a silence between them is not its end.
    "6.6" fn an_answer_in_pieces() {
        let client = ledger();
        let server = server(move |stream| {
            let bytes = hear_out(stream)?;
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            let reads = client.count(Event::Call("read"));
            stream.write_all(first)?;
            // However busy the machine is: until this has been read, and then long enough to ask again.
            let _ = (0..100).any(|_| {
                thread::sleep(Duration::from_millis(1));
                client.count(Event::Call("read")) > reads
            });
            thread::sleep(Duration::from_millis(10));
            stream.write_all(rest)
        });
        let back = exchanged(&[b'x'; 1000], &server).len();
        ensure!(
            back == 1000,
            "data-lost",
            "The server answered with 1,000 bytes, in two pieces, and was silent in between. {back} of them were read."
        );
    }

    /// Nothing to send is an end too.
    "6.6" fn nothing_to_send() {
        let server = server(|stream| {
            hear_out(stream)?;
            stream.write_all(b"hello")
        });
        let output = exchanged(b"", &server);
        let text = String::from_utf8_lossy(&output);
        ensure!(text == "hello", "data-lost", "The server sent `hello`, and {text:?} was read.");
    }

    /// poll() may name a server that has nothing to say yet. That is not its end.
    "6.6" fn a_false_report_ends_no_conversation() {
        let server = server(|stream| {
            let bytes = hear_out(stream)?;
            thread::sleep(Duration::from_millis(20));
            stream.write_all(&bytes)
        });
        sys::inject(Some(Faults { seed: 7, one_in: 1, errors: &[], short: true }));
        comes_back(&server, 1000);
        sys::inject(None);
    }

    /// A server that ends the conversation early has ended it.
    "6.6" fn a_server_that_has_heard_enough() {
        let (ledger, (over, is_over)) = (ledger(), mpsc::channel::<()>());
        let server = server(move |stream| {
            stream.write_all(b"enough")?;
            stream.shutdown(Shutdown::Write)?;
            // Until the client has noticed, or has shown that it does not, or sleeps.
            let step = scaled(Duration::from_millis(10));
            let (mut waits, mut still) = (0, 0);
            while still < 20
                && waits <= 1000
                && is_over.recv_timeout(step) == Err(mpsc::RecvTimeoutError::Timeout)
            {
                let before = mem::replace(&mut waits, ledger.count(Event::Call("poll")));
                still = if waits == before { still + 1 } else { 0 };
            }
            Ok(())
        });
        // More than all the buffers on the way have room for.
        let output = exchange(&vec![0; 16_000_000], &server);
        drop(over);
        let text = output.as_ref().map(|output| String::from_utf8_lossy(output));
        let right = text.as_ref().is_ok_and(|text| text == "enough");
        ensure!(right, "data-lost", "The server sent `enough`, and ended. The answer was {text:?}.");
        let polls = calls("poll");
        let took = grouped(polls as usize);
        ensure!(polls <= 1000, "spins", "A server ended the conversation, and it took {took} waits to notice.");
    }

    /// A connection that breaks is no end: the error is passed on.
    "6.6" fn a_broken_connection_is_an_error() {
        let server = server(|stream| {
            hear_out(stream)?;
            reset(stream.try_clone()?);
            Ok(())
        });
        let output = exchange(b"hello", &server);
        ensure!(
            output.is_err(),
            "misread",
            "The server broke off the connection in place of an answer. `exchange` gave {output:?}, as if that \
             were the answer; the error is needed."
        );
    }

    /// One signal may stand for many writes: whoever looks, looks until there is nothing more.
    "6.7" fn many_writes_one_signal() {
        let (pipes, mut writers) = silent(3);
        for _ in 0..100 {
            writers[1].write_all(b"ten bytes.").unwrap();
        }
        let mut bytes = Vec::new();
        on_signal(Some(pipes[1].as_raw_fd()), &pipes, &mut bytes).unwrap();
        let read = bytes.len();
        ensure!(read == 1000, "data-lost", "1,000 bytes were there at the one signal, and {read} were read.");
    }

    /// A signal that names nobody stands for everybody.
    "6.7" fn no_room_for_another_signal() {
        let (pipes, mut writers) = silent(3);
        for writer in &mut writers {
            writer.write_all(&[b'x'; 300]).unwrap();
        }
        let mut bytes = Vec::new();
        on_signal(None, &pipes, &mut bytes).unwrap();
        let read = bytes.len();
        ensure!(read == 900, "data-lost", "900 bytes were there at the bare SIGIO, and {read} were read.");
    }

    /// A pipe that has ended is no reason to leave the others unread.
    "6.7" fn an_end_is_of_one_pipe() {
        let (pipes, mut writers) = silent(3);
        for writer in &mut writers {
            writer.write_all(&[b'x'; 300]).unwrap();
        }
        drop(writers.remove(0));
        let mut bytes = Vec::new();
        on_signal(None, &pipes, &mut bytes).unwrap();
        let read = bytes.len();
        ensure!(
            read == 900,
            "data-lost",
            "There were 300 bytes in each of three pipes, and nobody writes into the first one any more. At the bare \
             SIGIO {read} bytes were read, of 900."
        );
    }

    /// A signal that names a pipe is no reason to ask the others.
    "6.7" fn the_others_are_left_alone() {
        let (pipes, mut writers) = silent(10);
        writers[5].write_all(b"ten bytes.").unwrap();
        let mut bytes = Vec::new();
        on_signal(Some(pipes[5].as_raw_fd()), &pipes, &mut bytes).unwrap();
        let reads = calls("read");
        ensure!(reads <= 2, "spins", "A signal named one of ten pipes, and it took {reads} reads; 2 are enough.");
    }

    /// What is none of the three answers is passed on; what was read before it is there.
    "6.7" fn an_error_of_a_pipe_is_passed_on() {
        const FAILS: &[(&str, i32)] = &[("read", libc::EIO)];
        for named in [true, false] {
            passed_on("on_signal", FAILS, move || {
                let (pipes, _writers) = silent(2);
                on_signal(named.then_some(pipes[1].as_raw_fd()), &pipes, &mut Vec::new())
            });
        }
        let (pipes, mut writers) = silent(2);
        writers[1].write_all(&[b'x'; 100]).unwrap();
        let mut bytes = Vec::new();
        sys::inject(Some(only(1, FAILS)));
        let looked = on_signal(Some(pipes[1].as_raw_fd()), &pipes, &mut bytes);
        sys::inject(None);
        ensure!(
            looked.is_err() && !bytes.is_empty(),
            "data-lost",
            "The first read of a pipe got bytes, and the second one failed. `on_signal` gave {looked:?}, and {} \
             of the first read. Both are needed, the error and the bytes.",
            many(bytes.len(), "byte")
        );
    }

    /// A signal may be late: for what has been read, or for a number that is no pipe of ours.
    "6.7" fn a_signal_too_late() {
        let (pipes, mut writers) = silent(2);
        let mut bytes = Vec::new();
        for said in [Some(pipes[0].as_raw_fd()), Some(writers[0].as_raw_fd()), None] {
            let looked = on_signal(said, &pipes, &mut bytes);
            ensure!(looked.is_ok(), "misread", "A signal without any bytes behind it gave {looked:?}.");
        }
        writers[0].write_all(b"byte").unwrap();
        drop(writers);
        on_signal(Some(pipes[0].as_raw_fd()), &pipes, &mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        ensure!(text == "byte", "data-lost", "`byte` was written, and {text:?} was read.");
    }
}

/// A pipe, and a writer that goes through the script in steps of 10 ms: a dot is a pause, a letter
/// is written. At the end of the script it closes the pipe.
fn script(script: &'static str) -> PipeReader {
    let (reader, mut writer) = io::pipe().unwrap();
    thread::spawn(move || {
        for byte in script.bytes() {
            thread::sleep(Duration::from_millis(10));
            if byte != b'.' && writer.write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    reader
}

/// Two pipes, and a writer that writes each letter of the script into the pipe that it names when
/// the one before has been read: so there is one order, however busy the machine is. A letter that
/// is not read is waited for no longer than 100 ms.
fn in_step(script: &'static str) -> Vec<PipeReader> {
    let pipes = (0..2).map(|_| io::pipe().unwrap());
    let (readers, mut writers): (Vec<_>, Vec<_>) = pipes.unzip();
    let watched = readers.iter().map(|reader| reader.try_clone().unwrap()).collect::<Vec<_>>();
    thread::spawn(move || {
        for byte in script.bytes() {
            let pipe = usize::from(byte - b'a');
            if writers[pipe].write_all(&[byte]).is_err() {
                return;
            }
            let (start, mut left) = (Instant::now(), 1);
            while left > 0 && start.elapsed() < scaled(Duration::from_millis(100)) {
                thread::sleep(Duration::from_micros(200));
                // SAFETY: the descriptor is open, and `FIONREAD` writes an integer.
                unsafe { libc::ioctl(watched[pipe].as_raw_fd(), libc::FIONREAD, &mut left) };
            }
        }
    });
    readers
}

/// Pipes whose readers do not block, and into which nobody writes yet.
fn silent(count: usize) -> (Vec<PipeReader>, Vec<io::PipeWriter>) {
    let pipes = (0..count).map(|_| io::pipe().unwrap());
    let (readers, writers): (Vec<_>, Vec<_>) = pipes.unzip();
    readers.iter().for_each(|reader| sys::set_nonblocking(reader).unwrap());
    (readers, writers)
}

/// What a model has read, as text.
fn read_all(arrivals: io::Result<Vec<u8>>) -> String {
    String::from_utf8_lossy(&arrivals.expect("pipes can be read")).into_owned()
}

fn sorted(text: &str) -> String {
    let mut letters = text.chars().collect::<Vec<_>>();
    letters.sort_unstable();
    letters.into_iter().collect()
}

/// While every call in `faults` fails, what `f` gives is that error, and it gives it.
fn passed_on<T: std::fmt::Debug + Send + 'static>(
    what: &str,
    faults: &'static [(&'static str, i32)],
    f: impl FnOnce() -> io::Result<T> + Send + 'static,
) {
    let (call, errno) = faults[0];
    let why = io::Error::from_raw_os_error(errno);
    let Some(given) = with_faults(all(faults), f) else {
        let calls = many(calls(call), "call");
        fail!(
            "misread",
            "Every {call}() failed: {why}. After {calls} `{what}` still goes on. The error does not pass by \
             itself, and nobody hears of it."
        );
    };
    let told = given.as_ref().is_err_and(|error| error.raw_os_error() == Some(errno));
    ensure!(told, "misread", "Every {call}() failed: {why}. `{what}` gave {given:?}; this error is needed.");
}

/// Does `f` while another thread is about to print, and has the locks for it. Whether `f` was through
/// before the other one let go of them.
fn while_others_print(f: impl FnOnce()) -> bool {
    let ((held, is_held), (over, is_over)) = (mpsc::channel(), mpsc::channel());
    let other = thread::spawn(move || {
        let _locks = (io::stdout().lock(), io::stderr().lock());
        held.send(()).unwrap();
        is_over.recv_timeout(scaled(Duration::from_millis(700))).is_ok()
    });
    is_held.recv().unwrap();
    f();
    let _ = over.send(());
    other.join().unwrap()
}

/// How often the call was made.
fn calls(name: &'static str) -> u64 {
    ledger().count(Event::Call(name))
}

/// The flags of the open file behind the pipe.
fn flags(pipe: &PipeReader) -> libc::c_int {
    // SAFETY: the descriptor is borrowed, and `F_GETFL` takes no argument.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_GETFL) }
}

/// Sends this thread `SIGUSR2`, so many times.
fn raise(times: u32) {
    for _ in 0..times {
        // SAFETY: it takes the number of a signal, which has a handler.
        unsafe { libc::raise(libc::SIGUSR2) };
    }
}

/// Waits for `row`, 200 ms at most: whether it got ready.
fn sleep(row: libc::pollfd) -> bool {
    wait(row, 200)
}

/// Waits for `row`, so many milliseconds at most: whether it got ready.
fn wait(mut row: libc::pollfd, millis: libc::c_int) -> bool {
    // SAFETY: the row is ours, and there is one.
    unsafe { libc::poll(&mut row, 1, millis) == 1 }
}

/// Whether the server has heard the end of the input.
static HEARD_OUT: AtomicBool = AtomicBool::new(false);

/// What a server reads to the end of its input.
fn hear_out(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    if_it_sleeps(|| match HEARD_OUT.load(Ordering::Relaxed) {
        true => ("slept-through", "`exchange` sleeps. The server has heard the end of the input, and has \
                                   sent its answer."),
        false => ("both-wait", "`exchange` sleeps until the server says something. The server sleeps until \
                                the input ends, and has not heard that it did. Each waits for the other."),
    });
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    HEARD_OUT.store(true, Ordering::Relaxed);
    Ok(bytes)
}

/// A client's side of a connection to a server that does `serve`.
fn server(serve: impl FnOnce(&mut TcpStream) -> io::Result<()> + Send + 'static) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // An error means that the client is gone, and the client is what is examined.
        let _ = serve(&mut stream);
    });
    client
}

/// Sends `length` bytes, and looks whether they come back.
fn comes_back(server: &TcpStream, length: usize) {
    let mut input = (0..=250).collect::<Vec<u8>>().repeat(length / 251 + 1);
    input.truncate(length);
    let output = exchanged(&input, server);
    let (sent, back) = (grouped(length), grouped(output.len()));
    ensure!(sent == back, "data-lost", "{sent} bytes were sent, and {back} came back.");
    ensure!(output == input, "data-lost", "{sent} bytes came back, and not the ones that were sent.");
}

/// What `exchange` gives, with a server that does what it should.
fn exchanged(input: &[u8], server: &TcpStream) -> Vec<u8> {
    exchange(input, server).unwrap_or_else(|error| {
        fail!("misread", "The connection was sound to the end, and `exchange` gave an error: {error}.")
    })
}

/// `2,000,000`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// The timeout for `duration` has these seconds and microseconds.
fn is_timeout(duration: Duration, wanted: (libc::time_t, libc::suseconds_t)) {
    let got = seconds_and_micros(duration);
    let micros = |(seconds, micros)| i128::from(seconds) * 1_000_000 + i128::from(micros);
    ensure!(
        micros(got) >= micros(wanted),
        "too-early",
        "For {duration:?} the timeout was {got:?}, which is shorter; {wanted:?} is needed."
    );
    ensure!(
        got == wanted,
        "wrong-result",
        "For {duration:?} the timeout was {got:?}; {wanted:?} is needed: the shortest wait that is not shorter, in \
         whole seconds and less than a million microseconds."
    );
}

/// What `timeout` gives, as two numbers.
fn seconds_and_micros(duration: Duration) -> (libc::time_t, libc::suseconds_t) {
    let timeout = timeout(duration);
    (timeout.tv_sec, timeout.tv_usec)
}
