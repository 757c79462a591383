//! A server as one writes it the first time, on a bad day, beside the one of the layer; and what the
//! latter asks of the system.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, AsyncWriteExt};
use under_await::ch05_handoff::{Sender, oneshot};
use under_await::ch09_timer::{sleep, timeout};
use under_await::ch10_net::{TcpListener, TcpStream};
use under_await::ch11_task::{block_on, spawn};
use under_await::ch12_join::join;
use under_await::ch13_race::race;
use under_await::ch14_sync::{Receiver, UnboundedSender, unbounded};
use under_await::ch15_serve::redis::{Db, talk};
use under_await::ch15_serve::resp::Parser;
use under_await::ch15_serve::{Limits, serve};
use under_await::ledger::{Event, Ledger};
use under_await::sys;

use super::client::Client;
use super::unix::{listener, ms};

// ANCHOR: by_hand
/// Two tasks for each client: one answers, one writes. Between them is a queue, into which
/// messages of others can be put, too.
async fn by_hand(listener: TcpListener, db: SharedDb) {
    loop {
        // What goes wrong with one client must not end the server.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (stream, (queue, queued)) = (Rc::new(stream), unbounded());
        spawn(answer(stream.clone(), queue, db.clone()));
        spawn(write(stream, queued));
    }
}
// ANCHOR_END: by_hand

// ANCHOR: answer
async fn answer(stream: Rc<TcpStream>, queue: Queue, db: SharedDb) -> io::Result<()> {
    let (mut parser, mut buffer) = (Parser::default(), [0; 4096]);
    loop {
        let count = (&*stream).read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        parser.push(&buffer[..count]);
        while let Some(request) = parser.next_request().map_err(io::Error::other)? {
            let mut reply = Vec::new();
            db.borrow_mut().execute(0, &request).write(&mut reply);
            let _ = queue.send(reply);
        }
    }
}

async fn write(stream: Rc<TcpStream>, mut queued: Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(bytes) = queued.recv().await {
        (&*stream).write_all(&bytes).await?;
    }
    (&*stream).close().await
}
// ANCHOR_END: answer

type Queue = UnboundedSender<Vec<u8>>;
type SharedDb = Rc<RefCell<Db>>;

/// Which server has the bad day.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ByHand,
    Serve,
}

/// A server, its database, its address, and how to stop it.
struct Started {
    server: Pin<Box<dyn Future<Output = ()>>>,
    db: SharedDb,
    address: SocketAddr,
    stop: Sender<()>,
}

impl Kind {
    fn start(self, idle: Duration) -> io::Result<Started> {
        let (listener, address) = listener()?;
        let (stop, stopped) = oneshot();
        let db = SharedDb::default();
        let shared = db.clone();
        let server: Pin<Box<dyn Future<Output = ()>>> = match self {
            Kind::ByHand => Box::pin(async {
                let _ = race(stopped, by_hand(listener, shared)).await;
            }),
            Kind::Serve => Box::pin(async move {
                let limits = Limits { connections: 50, idle, grace: ms(1000) };
                let talk = move |client| talk(client, shared.clone());
                let _ = serve(listener, limits, talk, stopped).await;
            }),
        };
        Ok(Started { server, db, address, stop })
    }
}

/// Something that may happen to a server, and what comes of it.
type Case = (&'static str, fn(Kind) -> io::Result<String>);

const CASES: [Case; 4] = [
    ("A client comes, and for 100 ms there is no descriptor left", shortage),
    ("A client asks 1,000 times for 64 KiB, and reads nothing", greed),
    ("A client comes, and says nothing", silence),
    ("Three requests come, and then Ctrl-C", interruption),
];

pub(crate) fn show(out: &mut impl Write) -> io::Result<()> {
    for (n, (title, case)) in CASES.into_iter().enumerate() {
        writeln!(out, "{}{title}\n", if n > 0 { "\n" } else { "" })?;
        writeln!(out, "  by hand   {}", case(Kind::ByHand)?)?;
        writeln!(out, "  serve     {}", case(Kind::Serve)?)?;
    }
    Ok(())
}

/// How often accept(2) is called in 100 ms when there is no descriptor left and a client waits. It is
/// served when that is over.
fn shortage(kind: Kind) -> io::Result<String> {
    let ledger = Ledger::open();
    let calls = || ledger.count(Event::Call("accept"));
    let Started { server, address, stop, .. } = kind.start(ms(1000))?;
    let counted = block_on(async {
        spawn(server);
        Client::connect(address)?.ask("PING").await?;
        let mut client = Client::connect(address)?;
        let shortage = Shortage::begin()?;
        let before = calls();
        sleep(Duration::from_millis(100)).await;
        let counted = calls() - before;
        drop(shortage);
        client.ask("PING").await?;
        io::Result::Ok(match counted {
            1 => "1 call of accept".to_owned(),
            _ => format!("~{} calls of accept", grouped(counted)),
        })
    });
    drop(stop);
    Ledger::close();
    counted
}

/// While it lives, there is no descriptor left.
struct Shortage {
    /// What was allowed before.
    limit: libc::rlimit,
    /// Each of them has one.
    files: Vec<File>,
}

impl Shortage {
    fn begin() -> io::Result<Self> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        sys::call("getrlimit", || {
            // SAFETY: `limit` is ours, and written to during the call.
            unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }
        })?;
        allow(&libc::rlimit { rlim_cur: 64, ..limit })?;
        let mut shortage = Shortage { limit, files: Vec::new() };
        while let Ok(file) = File::open("/dev/null") {
            shortage.files.push(file);
        }
        Ok(shortage)
    }
}

impl Drop for Shortage {
    fn drop(&mut self) {
        allow(&self.limit).expect("what was allowed before");
    }
}

/// So many descriptors may be open.
fn allow(limit: &libc::rlimit) -> io::Result<()> {
    let set = sys::call("setrlimit", || {
        // SAFETY: `limit` is only read.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) }
    });
    set.map(drop)
}

/// A client asks 1,000 times for a value of 64 KiB, and reads nothing. How much of the replies that were
/// made has the system not taken?
fn greed(kind: Kind) -> io::Result<String> {
    const VALUE: usize = 64 * 1024;
    let Started { server, db, address, stop } = kind.start(ms(1000))?;
    let big = ["SET", "big", &"x".repeat(VALUE)].map(|word| word.as_bytes().to_vec());
    db.borrow_mut().execute(0, &big);
    block_on(async {
        spawn(server);
        let mut client = Client::connect(address)?;
        client.send(&["INCR asked", "GET big"].repeat(1000)).await?;
        sleep(ms(100)).await;
        let asked = [b"GET".to_vec(), b"asked".to_vec()];
        let mut answer = Vec::new();
        db.borrow_mut().execute(0, &asked).write(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let asked = answer.lines().nth(1).and_then(|asked| asked.parse::<usize>().ok());
        drop(stop);
        let waiting = (asked.unwrap_or(0) * VALUE).saturating_sub(client.discard());
        Ok(format!("~{} KiB of replies wait in memory", grouped(waiting as u64 / 1024)))
    })
}

/// What becomes of a client that says nothing, where the limit is 100 ms.
fn silence(kind: Kind) -> io::Result<String> {
    let Started { server, address, stop, .. } = kind.start(ms(100))?;
    let heard = block_on(async {
        spawn(server);
        let mut client = Client::connect(address)?;
        let start = Instant::now();
        io::Result::Ok(match timeout(ms(300), client.reply()).await {
            Ok(_) => format!("it is gone after ~{} ms", start.elapsed().as_millis()),
            Err(_) => "it is still there after 300 ms".to_owned(),
        })
    });
    drop(stop);
    heard
}

/// How many of three requests are answered that came just before the server is told to end.
fn interruption(kind: Kind) -> io::Result<String> {
    let Started { server, address, stop, .. } = kind.start(ms(1000))?;
    let mut client = Client::connect(address)?;
    let heard = block_on(async {
        let asks = async {
            client.ask("PING").await?;
            client.send(&["INCR n"; 3]).await?;
            let _ = stop.send(());
            io::Result::Ok(match kind {
                Kind::ByHand => Err(client),
                Kind::Serve => Ok(to_the_end(client).await),
            })
        };
        join!(server, asks).1
    });
    // By hand the server is over at once, and nobody is left who could answer.
    Ok(heard?.unwrap_or_else(|client| block_on(to_the_end(client))))
}

/// How many replies come, and what comes after them if it is not the end.
async fn to_the_end(mut client: Client) -> String {
    let mut replies = 0;
    loop {
        match client.reply().await {
            Ok(Some(_)) => replies += 1,
            Ok(None) => return format!("{replies} are answered"),
            Err(error) => return format!("{replies} are answered: {}", error.kind()),
        }
    }
}

/// 10,000 requests of 50 clients, one by one, and 16 in a write.
pub(crate) fn show_calls(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "10,000 requests of 50 clients: the server's system calls\n")?;
    let (single, sixteen) = (count_calls(1)?, count_calls(16)?);
    writeln!(out, "  {:<8}{:>10}{:>18}", "", "one by one", "16 in a write")?;
    for (n, name) in ["wait", "recv", "send"].iter().enumerate() {
        writeln!(out, "  {name:<8}{:>10}{:>18}", grouped(single[n]), grouped(sixteen[n]))?;
    }
    Ok(())
}

/// `10000` as `10,000`.
fn grouped(number: u64) -> String {
    match number {
        ..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

fn count_calls(at_once: usize) -> io::Result<[u64; 3]> {
    let ledger = Ledger::open();
    let count = |name| ledger.count(Event::Call(name));
    let calls = || [count("poll") + count("select"), count("recv"), count("send")];
    let Started { server, address, stop, .. } = Kind::Serve.start(ms(10_000))?;
    let counted = block_on(async {
        spawn(server);
        let mut clients = Vec::new();
        for _ in 0..50 {
            let mut client = Client::connect(address)?;
            client.ask("PING").await?;
            clients.push(client);
        }
        let before = calls();
        let mut left = 10_000 / at_once;
        while left > 0 {
            let round = left.min(clients.len());
            for client in &clients[..round] {
                client.send(&["INCR n"].repeat(at_once)).await?;
            }
            for client in &mut clients[..round] {
                for _ in 0..at_once {
                    client.hear().await?;
                }
            }
            left -= round;
        }
        let after = calls();
        io::Result::Ok([0, 1, 2].map(|n| after[n] - before[n]))
    });
    drop(stop);
    Ledger::close();
    counted
}
