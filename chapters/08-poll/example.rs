//! 500 pipes and one thread: what a look at the table takes, which system calls are made when bytes
//! come, and what a wake from another thread costs.

#[cfg(unix)]
mod unix {
    use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
    use std::task::{Context, Waker};
    use std::thread;
    use std::time::{Duration, Instant};

    use futures::future::join_all;
    use under_await::ch05_handoff::oneshot;
    use under_await::ch08_poll::{Backend, ByPoll, BySelect, Direction, Registration, Root};
    use under_await::ch08_poll::{ask_by, block_on, ready_to, wait};
    use under_await::ledger::{self, Event, Ledger, watch};
    use under_await::sys;

    type Pipe = (PipeReader, PipeWriter);

    pub(crate) fn main() -> io::Result<()> {
        allow_descriptors(1100)?;
        let pipes = (0..500).map(|_| sys::pipe()).collect::<io::Result<Vec<_>>>()?;
        let out = &mut io::stdout().lock();
        match show_looks(out, &pipes)
            .and_then(|()| show_calls(out, &pipes))
            .and_then(|()| show_wakes(out))
        {
            // Whoever reads us has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            shown => shown,
        }
    }

    fn show_looks(out: &mut impl Write, pipes: &[Pipe]) -> io::Result<()> {
        writeln!(out, "Nothing has come: how long the kernel takes to say so.\n")?;
        writeln!(out, "  pipes    by poll(2)    by select(2)")?;
        for n in [10, 100, 500] {
            let by_poll = look(Box::new(ByPoll), &pipes[..n])?.as_nanos() as f64 / 1000.0;
            let by_select = look(Box::new(BySelect), &pipes[..n])?.as_nanos() as f64 / 1000.0;
            writeln!(out, "  {n:>5}    {:>7} µs      {:>7} µs", about(by_poll), about(by_select))?;
        }
        ask_by(Box::new(ByPoll)).map(drop)
    }

    /// How long one look at the table takes when all `pipes` are waited for.
    fn look(backend: Box<dyn Backend>, pipes: &[Pipe]) -> io::Result<Duration> {
        ask_by(backend)?;
        let rows = pipes.iter().map(|(reader, _)| Registration::new(reader));
        let rows = rows.collect::<io::Result<Vec<_>>>()?;
        for row in &rows {
            row.wait_for(Direction::Read, &mut Context::from_waker(Waker::noop()))?;
        }
        // The best of many: what took longer was interrupted.
        let mut best = Duration::MAX;
        for _ in 0..100 {
            let start = Instant::now();
            for _ in 0..10 {
                wait(Some(Duration::ZERO), || false)?;
            }
            best = best.min(start.elapsed() / 10);
        }
        Ok(best)
    }

    fn show_calls(out: &mut impl Write, pipes: &[Pipe]) -> io::Result<()> {
        writeln!(out, "\nA byte has come into each: the calls until all are read.\n")?;
        writeln!(out, "  pipes    poll    read    others")?;
        for n in [1, 10, 500] {
            for (_, writer) in &pipes[..n] {
                let mut writer = writer;
                writer.write_all(b"!")?;
            }
            let ledger = Ledger::open();
            block_on(join_all(pipes[..n].iter().map(|(reader, _)| read(reader))));
            Ledger::close();
            let [poll, read] = ["poll", "read"].map(|call| ledger.count(Event::Call(call)));
            let others = ledger.lines() - poll - read;
            writeln!(out, "  {n:>5}    {poll:>4}    {read:>4}    {others:>6}")?;
        }
        Ok(())
    }

    /// Waits for a byte, and reads it.
    async fn read(mut reader: &PipeReader) -> io::Result<usize> {
        ready_to(Direction::Read, reader).await?;
        sys::attempt("read", || reader.read(&mut [0]))
    }

    fn show_wakes(out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\nA thousand wakes from another thread: the bytes written into the pipe.\n"
        )?;
        let ledger = Ledger::open();
        wake_a_thousand_times(Waker::from(Root::new()?)).join().expect("it wakes");
        writeln!(out, "  while this one is awake    {}", ledger.count(Event::Call("write")))?;
        let root = Root::new()?;
        let waking = wake_a_thousand_times(Waker::from(root.clone()));
        while !root.take_wake() {
            wait(None, || root.is_woken())?;
        }
        waking.join().expect("it wakes");
        writeln!(out, "  while this one sleeps      {}", ledger.count(Event::Call("write")))?;
        Ledger::close();
        Ok(())
    }

    /// Begins in 50 milliseconds.
    fn wake_a_thousand_times(waker: Waker) -> thread::JoinHandle<()> {
        let ledger = Ledger::current().expect("one is open");
        thread::spawn(move || {
            ledger.attach();
            thread::sleep(Duration::from_millis(50));
            (0..1000).for_each(|_| waker.wake_by_ref());
        })
    }

    /// `~19.3` for 19.281: what another run may repeat.
    fn about(number: f64) -> String {
        format!("~{number:.1}")
    }

    /// 256 are a common limit, and a pipe is two.
    fn allow_descriptors(n: u64) -> io::Result<()> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        sys::call("getrlimit", || {
            // SAFETY: `limit` is ours, to be written.
            unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }
        })?;
        limit.rlim_cur = limit.rlim_cur.max(n as _).min(limit.rlim_max);
        sys::call("setrlimit", || {
            // SAFETY: `limit` is ours, and initialised.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }
        })?;
        Ok(())
    }

    /// A future that waits for a pipe and then for a thread: the part that the chapter traces.
    #[allow(dead_code)]
    pub(crate) fn scene() {
        // How the pipes are made is not part of the story.
        let ledger = Ledger::current();
        Ledger::close();
        let (reader, mut writer) = sys::pipe().expect("a pipe");
        let (sender, receiver) = oneshot();
        ask_by(Box::new(ByPoll)).expect("a pipe for the reactor");
        ledger.iter().for_each(Ledger::attach);
        let other = thread::spawn(move || {
            ledger.iter().for_each(Ledger::attach);
            thread::sleep(Duration::from_millis(40));
            ledger::record("another thread", Event::Note("writes a byte into the pipe"));
            writer.write_all(b"!").expect("there is room");
            thread::sleep(Duration::from_millis(40));
            let _ = sender.send(());
            writer
        });
        block_on(async {
            watch("the pipe's reader", ready_to(Direction::Read, &reader)).await.expect("a row");
            let _ = watch("the receiver", receiver).await;
        });
        drop(other.join());
    }
}

#[cfg(unix)]
#[allow(unused_imports)] // The trace is made from it, and not this program's output.
pub(crate) use unix::scene;

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    unix::main()
}

#[cfg(not(unix))]
fn main() {
    println!("This example needs a Unix: poll(2).");
}
