//! A Redis with room for two clients, and what it grants them: each waits for the reply, some wait for
//! room, one is silent for too long, and then the server ends. All of it, the clients too, on one thread.
//! `-- bad-day`: a server written by hand beside it, when things go wrong. `-- calls`: its system calls.
//! `-- listen [port]`: until Ctrl-C, for `redis-cli` and `redis-benchmark`.

use std::process::ExitCode;

#[cfg(unix)]
mod bad_day;
#[cfg(unix)]
mod client;
#[cfg(unix)]
mod listen;

#[cfg(not(unix))]
fn main() -> ExitCode {
    println!("This example needs a Unix: its reactor rests on poll(2).");
    ExitCode::SUCCESS
}

#[cfg(unix)]
fn main() -> ExitCode {
    unix::main()
}

#[cfg(unix)]
#[allow(unused_imports)] // The trace is made from it, and not this program's output.
pub(crate) use unix::scene;

#[cfg(unix)]
mod unix {
    use std::cell::RefCell;
    use std::env;
    use std::io::{self, ErrorKind, Write};
    use std::net::SocketAddr;
    use std::process::ExitCode;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use under_await::ch05_handoff::{Sender, oneshot};
    use under_await::ch09_timer::timeout;
    use under_await::ch10_net::TcpListener;
    use under_await::ch11_task::{block_on, spawn};
    use under_await::ch12_join::join;
    use under_await::ch15_serve::redis::{Db, talk};
    use under_await::ch15_serve::{Limits, serve};
    use under_await::ledger::{self, Event, Ledger, watch};

    use super::client::Client;
    use super::{bad_day, listen};

    pub(crate) fn main() -> ExitCode {
        let words = env::args().skip(1).collect::<Vec<_>>();
        let words = words.iter().map(String::as_str).collect::<Vec<_>>();
        let out = &mut io::stdout().lock();
        let shown = match words[..] {
            [] => show(out),
            ["bad-day"] => bad_day::show(out),
            ["calls"] => bad_day::show_calls(out),
            ["listen"] => listen::until_ctrl_c(out, "6379"),
            ["listen", port] => listen::until_ctrl_c(out, port),
            _ => Err(io::Error::new(ErrorKind::InvalidInput, USAGE)),
        };
        match shown {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads us has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(if error.kind() == ErrorKind::InvalidInput { 2 } else { 1 })
            }
        }
    }

    const USAGE: &str = "cargo run --example 15-serve -- [bad-day | calls | listen [port]]";

    fn show(out: &mut impl Write) -> io::Result<()> {
        const ROOM: usize = 2;
        let limits = Limits { connections: ROOM, idle: ms(300), grace: ms(500) };
        writeln!(out, "A Redis with room for {ROOM} clients, which may be silent for 300 ms\n")?;
        let ledger = Ledger::open();
        let (listener, address) = listener()?;
        let (stop, stopped) = oneshot();
        let db = Rc::new(RefCell::new(Db::default()));
        let (ended, told) = block_on(async {
            let server = serve(listener, limits, move |client| talk(client, db.clone()), stopped);
            join!(server, tell(out, address, &ledger, stop))
        });
        Ledger::close();
        told?;
        let how = if ended.is_ok() { "all were answered" } else { "some were cut off" };
        writeln!(out, "\nThe server has ended: {how}.")
    }

    /// What the clients say, and what they are told.
    async fn tell(
        out: &mut impl Write,
        address: SocketAddr,
        ledger: &Ledger,
        stop: Sender<()>,
    ) -> io::Result<()> {
        let mut line = |who: &str, says: &str, hears: String| {
            writeln!(out, "{}", format!("  {who:<3}{says:<46}{hears}").trim_end())
        };
        let mut a = Client::connect(address)?;
        line("A", "PING", a.ask("PING").await?)?;
        let mut b = Client::connect(address)?;
        line("B", "SUBSCRIBE news", b.ask("SUBSCRIBE news").await?)?;
        let mut c = Client::connect(address)?;
        let early = timeout(ms(50), c.ask("PING")).await;
        line("C", "PING", early.unwrap_or(Ok("nothing: it waits outside".to_owned()))?)?;

        let calls = || ["recv", "send"].map(|name| ledger.count(Event::Call(name)));
        let before = calls();
        a.send(&["SET n 1", "INCR n", "INCR n", "INCR n", "INCR n"]).await?;
        let heard = replies(&mut a, 5).await?;
        let [received, sent] = [0, 1].map(|n| calls()[n] - before[n]);
        line("A", "SET n 1, and INCR n four times, in one write", heard)?;
        line("", "", format!("the server: {received} recv, {sent} send"))?;

        line("A", "PUBLISH news hello", a.ask("PUBLISH news hello").await?)?;
        line("B", "", b.hear().await?)?;
        drop(a);
        line("A", "hangs up", String::new())?;
        line("C", "", c.hear().await?)?;
        let start = Instant::now();
        let heard = c.hear().await?;
        line("C", "is silent", format!("{heard}, after ~{} ms", start.elapsed().as_millis()))?;
        drop(c);

        let mut d = Client::connect(address)?;
        line("D", "PING", d.ask("PING").await?)?;
        // Nothing is awaited in between: when the server looks, both have happened.
        d.send(&["INCR n"; 3]).await?;
        stop.send(()).expect("the server waits for it");
        line("D", "INCR n three times, and the server ends", replies(&mut d, 4).await?)?;
        line("B", "", b.hear().await?)?;
        let refused = Client::connect(address).err().map(|error| error.kind().to_string());
        line("E", "connects", refused.unwrap_or_else(|| "connected".to_owned()))
    }

    /// So many replies, on one line.
    async fn replies(client: &mut Client, count: usize) -> io::Result<String> {
        let mut replies = Vec::new();
        for _ in 0..count {
            replies.push(client.hear().await?);
        }
        Ok(replies.join(", "))
    }

    /// Somewhere on this machine.
    pub(crate) fn listener() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// So many milliseconds; more of them on a machine that is said to be slow.
    pub(crate) fn ms(ms: u64) -> Duration {
        let scale = env::var("UNDER_AWAIT_TIME_SCALE").ok().and_then(|scale| scale.parse().ok());
        Duration::from_millis(ms).mul_f64(scale.unwrap_or(1.0))
    }

    /// What the chapter's trace shows: a server that is told to end while a request waits for it.
    #[allow(dead_code)]
    pub(crate) fn scene() {
        let ledger = Ledger::current();
        Ledger::close();
        let (listener, address) = listener().expect("a port");
        let (stop, stopped) = oneshot();
        let db = Rc::new(RefCell::new(Db::default()));
        let handler = move |client| watch("handler", talk(client, db.clone()));
        block_on(async {
            let server = serve(listener, Limits::default(), handler, stopped);
            let server = spawn(watch("serve", server));
            let mut client = Client::connect(address).expect("it listens");
            client.ask("PING").await.expect("a reply");
            // What it took to get here is the business of other chapters.
            ledger.inspect(Ledger::attach);
            ledger::record("client", Event::Note("sends a request"));
            client.send(&["PING"]).await.expect("room for it");
            ledger::record("main", Event::Note("tells the server to end"));
            stop.send(()).expect("the server waits for it");
            assert_eq!(client.hear().await.expect("a reply"), "PONG");
            assert_eq!(client.hear().await.expect("an end"), "the end");
            ledger::record("client", Event::Note("has its reply, sees the end, and hangs up"));
            drop(client);
            server.await.expect("no panic").expect("no cut");
        });
    }
}

#[cfg(not(unix))]
#[allow(dead_code)]
pub(crate) fn scene() {}
