//! Two pipes chat on one thread that sleeps in `select`; then 1,100 descriptors are too many for it.

#[cfg(not(unix))]
fn main() {
    println!("This example needs a Unix: it waits for pipes with select(2).");
}

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    unix::main()
}

#[cfg(unix)]
#[allow(unused_imports)]
pub(crate) use unix::scene;

#[cfg(unix)]
mod unix {
    use std::io::{self, PipeReader, PipeWriter, Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::thread;
    use std::time::Duration;

    use futures::future::join;

    use under_await::ch07_select::{block_on, readable};
    use under_await::ledger::{Event, Ledger, watch};

    pub(crate) fn main() -> io::Result<()> {
        let out = &mut io::stdout().lock();
        match chat(out).and_then(|()| too_many(out)) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// What the chapter's trace shows.
    #[allow(dead_code)] // The test of the book calls it.
    pub(crate) fn scene() {
        let ((a, to_a), (b, to_b)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let ledger = Ledger::current().expect("it is open");
        let helper = thread::spawn(move || {
            ledger.attach();
            for (note, mut pipe) in [("writes into pipe b", to_b), ("writes into pipe a", to_a)] {
                thread::sleep(Duration::from_millis(50));
                under_await::ledger::record("helper", Event::Note(note));
                pipe.write_all(b"!").unwrap();
            }
            // The ends of the pipes are closed when the waits are long over.
        });
        let (a, b) = block_on(join(watch("pipe a", readable(&a)), watch("pipe b", readable(&b))));
        a.and(b).unwrap();
        helper.join().unwrap();
    }

    fn chat(out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "Two futures talk through two pipes, on one thread that sleeps in `select`\n"
        )?;
        let ((from_ada, to_bob), (from_bob, to_ada)) = (io::pipe()?, io::pipe()?);
        let ledger = Ledger::open();
        let (ada, bob) = block_on(join(
            talk(vec!["How many are you?", "Over there too?"], to_bob, from_bob, true),
            talk(vec!["One thread.", "The same one."], to_ada, from_ada, false),
        ));
        let sleeps = ledger.count(Event::Call("select"));
        Ledger::close();
        for (ada, bob) in bob?.iter().zip(ada?) {
            writeln!(out, "  Ada: {ada:20} Bob: {bob}")?;
        }
        writeln!(out, "\n  calls of select {sleeps:3}\n")
    }

    /// Says each of `lines` and hears an answer, or the other way round; returns what was heard.
    async fn talk(
        lines: Vec<&str>,
        mut to: PipeWriter,
        mut from: PipeReader,
        first: bool,
    ) -> io::Result<Vec<String>> {
        let mut heard = Vec::new();
        for line in lines {
            if first {
                to.write_all(line.as_bytes())?;
            }
            readable(&from).await?;
            let mut buffer = [0; 64];
            let length = from.read(&mut buffer)?;
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            if !first {
                to.write_all(line.as_bytes())?;
            }
        }
        Ok(heard)
    }

    /// Waits for 1,100 copies of a descriptor, one after the other, until one is refused.
    fn too_many(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "1,100 descriptors, each with a byte to read\n")?;
        more_files()?;
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(b"!")?;
        let (mut served, mut refused, mut first) = (0, 0, None);
        let mut copies = Vec::new();
        for fd in 100..1200 {
            // SAFETY: `dup2` takes any two numbers, and below 1,200 from 100 on none is in use here.
            let copy = unsafe { libc::dup2(reader.as_raw_fd(), fd) };
            if copy == -1 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: `dup2` has made it for us.
            copies.push(unsafe { OwnedFd::from_raw_fd(copy) });
            match block_on(readable(&copies[copies.len() - 1])) {
                Ok(()) => served += 1,
                Err(error) => {
                    refused += 1;
                    first.get_or_insert(error);
                }
            }
        }
        writeln!(out, "  served  {served:4}, numbered 100 to {}", 99 + served)?;
        writeln!(out, "  refused {refused:4}")?;
        match first {
            Some(error) => writeln!(out, "  the first of them: {error}"),
            None => Ok(()),
        }
    }

    /// Asks for room for 1,200 descriptors: most systems begin with less.
    fn more_files() -> io::Result<()> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is ours to be written.
        if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == -1 {
            return Err(io::Error::last_os_error());
        }
        limit.rlim_cur = limit.rlim_cur.max(1200);
        // SAFETY: `limit` is initialised.
        match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
