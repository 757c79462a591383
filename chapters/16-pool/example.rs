//! A pool at work: tasks in turn, futures that stay, an echo in which no wake leaves its thread, and a
//! worker that is idle while tasks wait for another one.

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
    use std::collections::HashMap;
    use std::env;
    use std::future::pending;
    use std::hint::{black_box, spin_loop};
    use std::io::{self, ErrorKind, Read, Write};
    use std::net;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::{Arc, Mutex, mpsc};
    use std::task::{Context, Wake, Waker};
    use std::thread::{self, ThreadId};
    use std::time::{Duration, Instant};

    use futures::future::join_all;
    use futures::io::{AsyncReadExt, AsyncWriteExt};
    use under_await::ch01_future::{poll_fn, yield_now};
    use under_await::ch04_park;
    use under_await::ch09_timer::sleep;
    use under_await::ch10_net::{TcpListener, TcpStream};
    use under_await::ch11_task::block_on;
    use under_await::ch15_serve::{Connection, Limits, serve};
    use under_await::ch16_pool::Pool;
    use under_await::ledger::{self, Event, Ledger, watch};

    const LOCAL: (&str, u16) = ("127.0.0.1", 0);

    pub(crate) fn main() -> io::Result<()> {
        let out = &mut io::stdout().lock();
        let shown = match env::args().nth(1).as_deref() {
            Some("busy") => busy(out),
            Some("wakes") => wakes(out),
            Some("cores") => cores(out),
            _ => in_turn(out).and_then(|()| echo_on_two(out)).and_then(|()| skewed(out)),
        };
        match shown {
            // Whoever reads us has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            shown => shown,
        }
    }

    // ── Tasks in turn, each on one thread ──

    // ANCHOR: stays
    /// Is polled at least four times. Returns the thread of each poll.
    async fn stays() -> Vec<ThreadId> {
        // Not `Send`: in tokio's `spawn` this would not compile.
        let seen = Rc::new(Mutex::new(Vec::new()));
        for _ in 0..4 {
            seen.lock().unwrap().push(thread::current().id());
            yield_now().await;
        }
        Rc::into_inner(seen).expect("nobody else has it").into_inner().unwrap()
    }
    // ANCHOR_END: stays

    fn in_turn(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "1,000 tasks on 4 workers; each keeps an `Rc` from one poll to the next\n")?;
        let pool = Pool::new(4)?;
        let handles = (0..1000).map(|_| pool.spawn(stays)).collect::<Vec<_>>();
        let (mut tasks, mut moved) = (HashMap::new(), 0);
        for handle in handles {
            let seen = block_on(handle).expect("it does not panic");
            moved += u32::from(seen.iter().any(|thread| *thread != seen[0]));
            *tasks.entry(seen[0]).or_insert(0) += 1;
        }
        let tasks = tasks.into_values().collect::<Vec<u32>>();
        writeln!(out, "  tasks on each thread         {tasks:?}")?;
        writeln!(out, "  tasks polled on two threads  {moved}")
    }

    // ── An echo, and where its wakes come from ──

    // ANCHOR: hand_over
    /// Accepts so many clients here, and has the workers of `pool` answer them, in turn.
    fn hand_over(
        pool: &Pool,
        listener: &net::TcpListener,
        clients: usize,
        wakes: &Arc<Wakes>,
    ) -> io::Result<()> {
        for _ in 0..clients {
            let (socket, _) = listener.accept()?;
            let wakes = wakes.clone();
            pool.spawn(move || counted(wakes, echo(socket)));
        }
        Ok(())
    }

    /// Sends everything back.
    async fn echo(socket: net::TcpStream) -> io::Result<()> {
        // Not earlier: this gives it a row in the reactor of this thread.
        let mut stream = TcpStream::from_std(socket)?;
        let mut buffer = [0; 1024];
        while let count @ 1.. = stream.read(&mut buffer).await? {
            stream.write_all(answer(&buffer[..count])).await?;
        }
        Ok(())
    }
    // ANCHOR_END: hand_over

    /// The same, but all connections stay with the one worker of `reactor`, and each request goes to one
    /// of `pool`.
    fn keep_here(
        reactor: &Pool,
        pool: &Arc<Pool>,
        listener: &net::TcpListener,
        clients: usize,
        wakes: &Arc<Wakes>,
    ) -> io::Result<()> {
        for _ in 0..clients {
            let (socket, _) = listener.accept()?;
            let (pool, wakes) = (pool.clone(), wakes.clone());
            reactor.spawn(move || counted(wakes, echo_elsewhere(socket, pool)));
        }
        Ok(())
    }

    async fn echo_elsewhere(socket: net::TcpStream, pool: Arc<Pool>) -> io::Result<()> {
        let mut stream = TcpStream::from_std(socket)?;
        let mut buffer = [0; 1024];
        while let count @ 1.. = stream.read(&mut buffer).await? {
            let word = buffer[..count].to_vec();
            let reply = pool.spawn(move || async move { answer(&word).to_vec() });
            stream.write_all(&reply.await?).await?;
        }
        Ok(())
    }

    fn echo_on_two(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n10 connections, accepted here and handed to 2 workers; 1,000 requests\n")?;
        let (pool, wakes) = (Pool::new(2)?, Arc::new(Wakes::default()));
        let listener = net::TcpListener::bind(LOCAL)?;
        let mut clients = connect(&listener, 10)?;
        hand_over(&pool, &listener, clients.len(), &wakes)?;
        let replies = ask(&mut clients, 100)?;
        let Wakes { here, elsewhere } = &*wakes;
        writeln!(out, "  replies                      {replies}")?;
        writeln!(out, "  wakes on the task's thread   ~{}", here.load(Ordering::Relaxed))?;
        writeln!(out, "  wakes from another thread    {}", elsewhere.load(Ordering::Relaxed))
    }

    /// So many clients. The system takes their connections, until somebody accepts them.
    fn connect(listener: &net::TcpListener, clients: usize) -> io::Result<Vec<net::TcpStream>> {
        let address = listener.local_addr()?;
        let connected = (0..clients).map(|_| {
            let client = net::TcpStream::connect(address)?;
            client.set_nodelay(true)?;
            Ok(client)
        });
        connected.collect()
    }

    /// Has each client send a word so often, and wait for its return. Returns how many have come.
    fn ask(clients: &mut [net::TcpStream], times: usize) -> io::Result<usize> {
        let mut replies = 0;
        for _ in 0..times {
            clients.iter_mut().try_for_each(|client| client.write_all(b"hello"))?;
            for client in &mut *clients {
                let mut reply = [0; 5];
                client.read_exact(&mut reply)?;
                replies += usize::from(reply == *b"hello");
            }
        }
        Ok(replies)
    }

    /// How often a future was woken on the thread that polls it, and how often on others.
    #[derive(Default)]
    struct Wakes {
        here: AtomicU32,
        elsewhere: AtomicU32,
    }

    /// Runs `future`, and counts its wakes.
    async fn counted<F: Future>(wakes: Arc<Wakes>, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let (wakes, home, above) = (wakes.clone(), thread::current().id(), cx.waker().clone());
            let waker = Waker::from(Arc::new(Counting { wakes, home, above }));
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
    }

    /// Counts a wake, and passes it on.
    struct Counting {
        wakes: Arc<Wakes>,
        home: ThreadId,
        above: Waker,
    }

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            let is_home = thread::current().id() == self.home;
            let count = if is_home { &self.wakes.here } else { &self.wakes.elsewhere };
            count.fetch_add(1, Ordering::Relaxed);
            self.above.wake_by_ref();
        }
    }

    // ── What begins on a worker stays there ──

    fn skewed(out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\nTen tasks on 2 workers. Task 0 computes, and the others are over at once.\n"
        )?;
        let pool = Pool::new(2)?;
        let enough = Arc::new(AtomicBool::new(false));
        let (ended, order) = mpsc::channel();
        for number in 0..10 {
            let (ended, enough) = (ended.clone(), enough.clone());
            pool.spawn(move || async move {
                while number == 0 && !enough.load(Ordering::Relaxed) {
                    spin_loop(); // No `.await`: as if it computed.
                }
                let _ = ended.send((number, thread::current().id()));
            });
        }
        let early = order.iter().take(5).collect::<Vec<_>>();
        let (_, idle) = early[0];
        writeln!(out, "  over while task 0 computes   {}", numbers(&early))?;
        let late = pool.spawn_on(1, || async { thread::current().id() });
        assert_eq!(block_on(late).expect("it does not panic"), idle);
        writeln!(out, "  worker 1 has nothing left to do, and 4 tasks wait for worker 0")?;
        enough.store(true, Ordering::Relaxed);
        let late = order.iter().take(5).collect::<Vec<_>>();
        assert!(late.iter().all(|(_, thread)| *thread != idle));
        writeln!(out, "  over after that              {}", numbers(&late))
    }

    fn numbers(tasks: &[(u32, ThreadId)]) -> String {
        tasks.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(" ")
    }

    // ── With `busy`: what the computation of one client is to the others ──

    /// Set when a server has begun to compute.
    static BEGUN: AtomicBool = AtomicBool::new(false);
    /// Set when it is to end that.
    static ENOUGH: AtomicBool = AtomicBool::new(false);

    /// What is sent back for a word: for some it takes a while.
    fn answer(word: &[u8]) -> &[u8] {
        if word == b"count" {
            BEGUN.store(true, Ordering::Relaxed);
            while !ENOUGH.load(Ordering::Relaxed) {
                spin_loop();
            }
        }
        word
    }

    fn busy(out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "Ten clients. For one of them the server computes for 100 ms. Then it is asked by"
        )?;
        writeln!(out, "the other nine.\n\n  {:<26}answered meanwhile\n", "")?;
        let listener = net::TcpListener::bind(LOCAL)?;
        let clients = connect(&listener, 10)?;
        thread::spawn(move || {
            let handler = |client: Connection| async move {
                let mut buffer = [0; 64];
                while let Ok(count @ 1..) = client.read(&mut buffer).await {
                    client.write_all(answer(&buffer[..count])).await?;
                }
                io::Result::Ok(())
            };
            block_on(async {
                let listener = TcpListener::from_std(listener).expect("a descriptor is a row");
                serve(listener, Limits::default(), handler, pending::<()>()).await
            })
        });
        writeln!(out, "  {:<26}{} of 9", "serve, one thread", answered(clients)?)?;
        for workers in [2, 4] {
            let pool = Pool::new(workers)?;
            let listener = net::TcpListener::bind(LOCAL)?;
            let clients = connect(&listener, 10)?;
            hand_over(&pool, &listener, clients.len(), &Arc::default())?;
            let workers = format!("a pool of {workers} workers");
            writeln!(out, "  {workers:<26}{} of 9", answered(clients)?)?;
        }
        Ok(())
    }

    /// Occupies the server with the first client, and counts which of the others get an answer.
    fn answered(mut clients: Vec<net::TcpStream>) -> io::Result<usize> {
        BEGUN.store(false, Ordering::Relaxed);
        ENOUGH.store(false, Ordering::Relaxed);
        clients[0].write_all(b"count")?;
        while !BEGUN.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let others = &mut clients[1..];
        others.iter_mut().try_for_each(|client| client.write_all(b"hello"))?;
        // After 100 ms the count is what it was; on a busy machine that may take longer.
        thread::sleep(Duration::from_millis(60));
        let mut answered = count(others)?;
        loop {
            thread::sleep(Duration::from_millis(40));
            match count(others)? {
                more if more > answered => answered = more,
                _ => break,
            }
        }
        ENOUGH.store(true, Ordering::Relaxed);
        for client in &mut clients {
            client.read_exact(&mut [0; 5])?;
        }
        Ok(answered)
    }

    /// How many of them have an answer.
    fn count(clients: &[net::TcpStream]) -> io::Result<usize> {
        let mut answered = 0;
        for client in clients {
            client.set_nonblocking(true)?;
            answered += usize::from(client.peek(&mut [0]).is_ok());
            client.set_nonblocking(false)?;
        }
        Ok(answered)
    }

    // ── With `wakes`: where they come from, if one thread has the reactor for all ──

    fn wakes(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "1,000 requests over 10 connections, for 2 workers\n")?;
        writeln!(out, "  {:<34}{:>8}{:>18}", "woken by", "its own", "another thread")?;
        for own in [true, false] {
            let (pool, wakes) = (Arc::new(Pool::new(2)?), Arc::new(Wakes::default()));
            let reactor = Pool::new(1)?;
            let listener = net::TcpListener::bind(LOCAL)?;
            let mut clients = connect(&listener, 10)?;
            if own {
                hand_over(&pool, &listener, clients.len(), &wakes)?;
            } else {
                keep_here(&reactor, &pool, &listener, clients.len(), &wakes)?;
            }
            ask(&mut clients, 100)?;
            let Wakes { here, elsewhere } = &*wakes;
            let [here, elsewhere] = [here, elsewhere].map(|count| count.load(Ordering::Relaxed));
            let (what, elsewhere) = match own {
                true => ("each worker has its reactor", elsewhere.to_string()),
                false => ("one has the reactor, two answer", format!("~{elsewhere}")),
            };
            writeln!(out, "  {what:<34}{:>8}{elsewhere:>18}", format!("~{here}"))?;
        }
        Ok(())
    }

    // ── With `cores`: tasks that compute ──

    fn cores(out: &mut impl Write) -> io::Result<()> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        writeln!(out, "8 tasks that compute, and as many threads as a measure; {cores} cores\n")?;
        writeln!(out, "  workers   the pool   bare threads")?;
        for workers in [1, 2, 4] {
            let pool = Pool::new(workers)?;
            let (mut by_pool, mut by_threads) = (Duration::MAX, Duration::MAX);
            // The best of five: other programs are there as well.
            for _ in 0..5 {
                let begin = Instant::now();
                let tasks = (0..8).map(|_| pool.spawn(|| async { compute() })).collect::<Vec<_>>();
                let sums = block_on(join_all(tasks));
                by_pool = by_pool.min(begin.elapsed());
                assert!(sums.iter().all(Result::is_ok), "none of them panics");
                let begin = Instant::now();
                thread::scope(|scope| {
                    for _ in 0..workers {
                        scope.spawn(|| (0..8 / workers).for_each(|_| _ = compute()));
                    }
                });
                by_threads = by_threads.min(begin.elapsed());
            }
            let [by_pool, by_threads] =
                [by_pool, by_threads].map(|time| format!("~{} ms", time.as_millis()));
            writeln!(out, "  {workers:>7}   {by_pool:>8}   {by_threads:>12}")?;
        }
        Ok(())
    }

    /// Takes some time, and no memory.
    fn compute() -> u64 {
        (0..1_000_000)
            .fold(1_u64, |sum, n| black_box(sum.wrapping_mul(6364136223846793005) + n % 7))
    }

    // ── The trace ──

    /// A closure goes to a worker, and its future's output comes back.
    #[allow(dead_code)]
    pub(crate) fn scene() {
        ledger::record("main", Event::Note("makes a pool of one worker"));
        // How it does that is not part of the story.
        let ledger = Ledger::current();
        Ledger::close();
        let pool = Pool::new(1).expect("a thread, and a reactor");
        let there = ledger.clone();
        let attached = pool.spawn(move || async move { there.inspect(Ledger::attach) });
        let _ = ch04_park::block_on(attached);
        // By now the worker sleeps.
        thread::sleep(Duration::from_millis(20));
        ledger.iter().for_each(Ledger::attach);
        ledger::record("main", Event::Note("hands over a closure"));
        let handle = pool.spawn(|| {
            ledger::record("worker", Event::Note("calls it: here the future is made"));
            async {
                watch("task", sleep(Duration::from_millis(60))).await;
                // What the worker does after that may come before or after what the handle does.
                Ledger::close();
            }
        });
        thread::sleep(Duration::from_millis(20));
        let _ = ch04_park::block_on(watch("handle", handle));
        Ledger::close();
    }
}

#[cfg(not(unix))]
#[allow(dead_code)]
pub(crate) fn scene() {}
