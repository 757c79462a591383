//! An echo server that is one future, and two clients; what a request costs; and a GET, by hand.
//! `-- serve 3` answers three HTTP requests instead, of a browser's or of curl's.

#[cfg(unix)]
use std::{
    env, io,
    io::{ErrorKind, Read, Write},
    net, thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
#[cfg(unix)]
use under_await::ch09_timer::{block_on, timeout};
#[cfg(unix)]
use under_await::ledger::{Event, Ledger, watch};
#[cfg(unix)]
use under_await::net::{TcpListener, TcpStream};

#[cfg(not(unix))]
fn main() {
    println!("This example needs a Unix: its reactor rests on poll(2).");
}

#[cfg(unix)]
fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let shown = match env::args().nth(2).and_then(|count| count.parse().ok()) {
        Some(requests) => {
            let listener = TcpListener::bind(ANY)?;
            writeln!(out, "http://{}, {requests} times", listener.local_addr()?)
                .and_then(|()| block_on(serve_pages(listener, requests)))
        }
        None => show_echo(out).and_then(|()| show_get(out)),
    };
    match shown {
        // Whoever reads us has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// This machine, at a port that the system chooses.
#[cfg(unix)]
const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

#[cfg(unix)]
// ANCHOR: echo
/// Sends everything back, to one client after the other.
async fn echo(listener: TcpListener, clients: u32) -> io::Result<()> {
    for _ in 0..clients {
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            stream.write_all(&buffer[..count]).await?;
        }
    }
    Ok(())
}
// ANCHOR_END: echo

#[cfg(unix)]
fn show_echo(out: &mut impl Write) -> io::Result<()> {
    const REQUESTS: u32 = 1000;
    writeln!(out, "An echo server that is one future. The first client stays for 200 ms.\n")?;
    let listener = TcpListener::bind(ANY)?;
    let address = listener.local_addr()?;
    let client = move |starts: u64, stays: u64| {
        thread::sleep(Duration::from_millis(starts));
        let mut stream = net::TcpStream::connect(address)?;
        let start = Instant::now();
        stream.write_all(b"hello")?;
        stream.read_exact(&mut [0; 5])?;
        let answered = start.elapsed();
        thread::sleep(Duration::from_millis(stays));
        io::Result::Ok(answered.as_millis())
    };
    let first = thread::spawn(move || client(0, 200));
    let second = thread::spawn(move || client(50, 0));
    block_on(echo(listener, 2))?;
    for (name, client) in [("first", first), ("second", second)] {
        let answered = client.join().expect("a client that ends")?;
        writeln!(out, "  {name:<7} client: connected, and answered after ~{answered} ms")?;
    }

    let listener = TcpListener::bind(ANY)?;
    let address = listener.local_addr()?;
    let client = thread::spawn(move || {
        let mut stream = net::TcpStream::connect(address)?;
        for _ in 0..REQUESTS {
            thread::sleep(Duration::from_micros(100));
            stream.write_all(b"hello")?;
            stream.read_exact(&mut [0; 5])?;
        }
        io::Result::Ok(())
    });
    let ledger = Ledger::open();
    block_on(echo(listener, 1))?;
    Ledger::close();
    client.join().expect("a client that ends")?;
    writeln!(
        out,
        "\n{REQUESTS} requests of a client that pauses between them: the server's system calls\n"
    )?;
    let calls = |name| ledger.count(Event::Call(name));
    let rows = [
        ("wait", calls("poll") + calls("select")),
        ("read", calls("recv")),
        ("write", calls("send")),
    ];
    for (name, count) in rows {
        writeln!(out, "  {name:<7}~{:.2} per request", count as f64 / f64::from(REQUESTS))?;
    }
    Ok(())
}

// ANCHOR: get
/// Asks for a page, and returns what comes back, line by line.
#[cfg(unix)]
async fn get(address: net::SocketAddr, path: &str) -> io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().map(str::to_owned).collect())
}
// ANCHOR_END: get

#[cfg(unix)]
fn show_get(out: &mut impl Write) -> io::Result<()> {
    // Ours stay on their thread, so the other thread makes one of std's its own.
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || block_on(serve_pages(TcpListener::from_std(listener)?, 1)));
    let answer = block_on(timeout(Duration::from_secs(1), get(address, "/page")));
    writeln!(out, "\nGET /page HTTP/1.0, within a second:\n")?;
    for line in answer.map_err(|_| ErrorKind::TimedOut)?? {
        writeln!(out, "{}", format!("  {line}").trim_end())?;
    }
    server.join().expect("a server that ends")
}

/// Answers so many requests, one after the other.
#[cfg(unix)]
pub(crate) async fn serve_pages(listener: TcpListener, requests: u32) -> io::Result<()> {
    for _ in 0..requests {
        let (stream, _) = listener.accept().await?;
        let mut reader = BufReader::new(&stream);
        let (mut request, mut line) = (String::new(), String::new());
        reader.read_line(&mut request).await?;
        // The head of a request ends with an empty line. What is not read when the connection is
        // closed would make the close a reset.
        while reader.read_line(&mut line).await? > 2 {
            line.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or("nothing");
        let body = format!("You asked for {path}.\n");
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        (&stream).write_all((head + &body).as_bytes()).await?;
        (&stream).close().await?;
    }
    Ok(())
}

/// Two reads, each of which has to wait: the part that the chapter traces.
#[cfg(unix)]
#[allow(dead_code)] // The trace is made from it, and not this program's output.
pub(crate) fn scene() {
    let ledger = Ledger::current();
    Ledger::close();
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    let writer = thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("a connection");
        for word in ["one", "two"] {
            thread::sleep(Duration::from_millis(50));
            peer.write_all(word.as_bytes()).expect("a reader");
        }
        peer
    });
    let mut stream = block_on(TcpStream::connect(address)).expect("a listener");
    ledger.inspect(Ledger::attach);
    let mut buffer = [0; 64];
    for _ in 0..2 {
        block_on(watch("read", stream.read(&mut buffer))).expect("a word");
    }
    drop(writer);
}

#[cfg(not(unix))]
#[allow(dead_code)]
pub(crate) fn scene() {}
