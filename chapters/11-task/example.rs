//! An echo server with a task for each connection: the second client of chapter 10, a thousand clients
//! at once, and one connection that panics. All of it, the clients too, on one thread.

#[cfg(not(unix))]
fn main() {
    println!("This example needs a Unix: its reactor rests on poll(2).");
}

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    unix::main()
}

#[cfg(unix)]
#[allow(unused_imports)] // The trace is made from it, and not this program's output.
pub(crate) use unix::scene;

#[cfg(unix)]
mod unix {
    use std::io::{self, ErrorKind, Write};
    use std::net::SocketAddr;
    use std::thread;
    use std::time::{Duration, Instant};

    use futures::io::{AsyncReadExt, AsyncWriteExt};
    use under_await::ch05_handoff::oneshot;
    use under_await::ch08_poll::wait;
    use under_await::ch09_timer::sleep;
    use under_await::ch10_net::{TcpListener, TcpStream};
    use under_await::ch11_task::{block_on, spawn};
    use under_await::ledger::{Event, Ledger, watch};
    use under_await::sys;

    pub(crate) fn main() -> io::Result<()> {
        // A bit set has no bit for more.
        let by_select =
            std::env::var_os("UNDER_AWAIT_REACTOR").is_some_and(|name| name == "select");
        let wanted = if by_select { 1000 } else { 2100 };
        let clients = (allowed_descriptors(wanted)? - 100) / 2;
        let out = &mut io::stdout().lock();
        match show_two(out).and_then(|()| show_many(out, clients)).and_then(|()| show_panic(out)) {
            // Whoever reads us has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            shown => shown,
        }
    }

    // ANCHOR: serve
    /// Takes every client, and has a task for each.
    async fn serve(listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            spawn(echo(stream));
        }
    }

    /// Sends everything back.
    async fn echo(mut stream: TcpStream) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            if &buffer[..count] == b"bomb!" {
                panic!("in the task of one client");
            }
            stream.write_all(&buffer[..count]).await?;
        }
    }
    // ANCHOR_END: serve

    /// Says so many words, one after the other, and stays for a while. How many came back, and how long
    /// the first took.
    async fn client(address: SocketAddr, words: u32, stays: u64) -> io::Result<(u32, Duration)> {
        let mut stream = TcpStream::connect(address).await?;
        let (start, mut first) = (Instant::now(), Duration::ZERO);
        for i in 0..words {
            let mut word = [0; 5];
            stream.write_all(b"hello").await?;
            stream.read_exact(&mut word).await?;
            first = if i == 0 { start.elapsed() } else { first };
        }
        sleep(Duration::from_millis(stays)).await;
        Ok((words, first))
    }

    fn listener() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    fn show_two(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "A task for each connection. The first client stays for 200 ms.\n")?;
        block_on(async {
            let (listener, address) = listener()?;
            spawn(serve(listener));
            let first = spawn(client(address, 1, 200));
            sleep(Duration::from_millis(50)).await;
            let second = spawn(client(address, 1, 0));
            for (name, client) in [("first", first), ("second", second)] {
                let (_, answered) = client.await.expect("a client does not panic")?;
                let answered = answered.as_millis();
                writeln!(out, "  {name:<7} client: connected, and answered after ~{answered} ms")?;
            }
            Ok(())
        })
    }

    fn show_many(out: &mut impl Write, clients: u64) -> io::Result<()> {
        const WORDS: u32 = 3;
        let start = Instant::now();
        let ledger = Ledger::open();
        let echoed: io::Result<u32> = block_on(async {
            let (listener, address) = listener()?;
            spawn(serve(listener));
            let mut tasks = Vec::new();
            for i in 1..=clients {
                tasks.push(spawn(client(address, WORDS, 100)));
                if i % 100 == 0 {
                    // A listener has a queue, of 128 here; whom it has no place for tries again in a
                    // second.
                    sleep(Duration::from_millis(1)).await;
                }
            }
            let mut echoed = 0;
            for client in tasks {
                echoed += client.await.expect("a client does not panic")?.0;
            }
            Ok(echoed)
        });
        Ledger::close();
        let (echoed, spent) = (echoed?, start.elapsed().as_millis());
        let calls = |name| ledger.count(Event::Call(name));
        let waits = calls("poll") + calls("select");
        writeln!(out, "\n{clients} clients, {WORDS} words each, and their server:\n")?;
        writeln!(out, "  {echoed} of {} words came back", clients * u64::from(WORDS))?;
        writeln!(out, "  {} tasks on 1 thread, in ~{spent} ms", 2 * clients + 1)?;
        writeln!(out, "  ~{waits} waits for the kernel")
    }

    fn show_panic(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nThe task of one client panics.\n")?;
        std::panic::set_hook(Box::new(|_| {})); // It would say so on standard error.
        let (silent, other) = block_on(async {
            let (listener, address) = listener()?;
            spawn(serve(listener));
            let other = spawn(client(address, 3, 50));
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"bomb!").await?;
            let silent = stream.read(&mut [0; 5]).await?;
            io::Result::Ok((silent, other.await.expect("a client does not panic")?.0))
        })?;
        let panicked = block_on(async { spawn(async { panic!("alone") }).await });
        let _ = std::panic::take_hook();
        writeln!(out, "  that client:  {silent} bytes, the end of its connection")?;
        writeln!(out, "  another one:  {other} of 3 words came back")?;
        let error = panicked.map(|(): ()| ()).expect_err("it panicked");
        writeln!(out, "  a handle of such a task gives an error: {error}")
    }

    /// Raises the limit of open descriptors to `wanted`, or as far as the system allows. Where that is
    /// less, there are fewer clients.
    fn allowed_descriptors(wanted: u64) -> io::Result<u64> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        sys::call("getrlimit", || {
            // SAFETY: `limit` is ours, and written to during the call.
            unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }
        })?;
        #[allow(clippy::unnecessary_cast)] // FreeBSD counts with a sign.
        let (now, most) = (limit.rlim_cur as u64, limit.rlim_max as u64);
        if wanted <= now {
            return Ok(wanted);
        }
        limit.rlim_cur = wanted.min(most) as libc::rlim_t;
        let raised = sys::call("setrlimit", || {
            // SAFETY: `limit` is ours, and only read.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }
        });
        Ok(if raised.is_ok() { wanted.min(most) } else { now })
    }

    /// Two tasks, one of which waits for a thread: the part that the chapter traces.
    #[allow(dead_code)]
    pub(crate) fn scene() {
        // How the reactor is made is not part of the story.
        let ledger = Ledger::current();
        Ledger::close();
        wait(Some(Duration::ZERO), || true).expect("a reactor");
        ledger.iter().for_each(Ledger::attach);
        let (sender, receiver) = oneshot();
        let thread = thread::spawn(move || {
            ledger.inspect(Ledger::attach);
            thread::sleep(Duration::from_millis(50));
            sender.send(()).expect("the task waits");
        });
        block_on(watch("root", async {
            let one = spawn(watch("one", under_await::yield_now()));
            let two = spawn(watch("two", receiver));
            one.await.expect("it does not panic");
            two.await.expect("it does not panic").expect("the thread sends");
        }));
        thread.join().expect("the thread ends");
    }
}

#[cfg(not(unix))]
#[allow(dead_code)]
pub(crate) fn scene() {}
