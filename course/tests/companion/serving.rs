//! `serve`, and `cargo run` on a terminal: the book, served by the runtime that it builds.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::{Sandbox, run, scaled, within};

/// A companion that serves; it is killed when this is dropped.
struct Server {
    child: Child,
    /// `127.0.0.1:3000`.
    address: String,
}

impl Server {
    /// Begins to serve the book of a sandbox, at a port that is free.
    fn begin(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.course(&["serve", "--port", "0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|url| url.strip_suffix('/'));
        Server { child, address: address.unwrap_or_else(|| panic!("`{line}`")).to_owned() }
    }

    /// A connection.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(scaled(Duration::from_secs(30)))).unwrap();
        stream
    }

    /// Asks for a path as it stands, with these headers, and gives what is answered.
    fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: book\r\nConnection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// Sends SIGINT, as Ctrl-C does, and waits for the end.
    fn interrupt(mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a request was answered with.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// The headers, in small letters.
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// The value of a header.
    fn header(&self, name: &str) -> &str {
        let value = |line: &'_ str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.len());
        let line = self.head.lines().find(|line| value(line).is_some());
        line.map_or("", |line| &line[name.len() + 2..])
    }
}

#[test]
fn a_browser_gets_what_it_asks_for() {
    let sandbox = Sandbox::new();
    let server = Server::begin(&sandbox);
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "Under .await"),
        ("/index.html?a=b", "text/html; charset=utf-8", "</script>"),
        ("/04-park/README.html", "text/html; charset=utf-8", "block_on"),
        ("/04-park/example.rs", "text/x-rust; charset=utf-8", "fn main"),
        ("/tower.svg", "image/svg+xml", "<svg"),
        ("/%74ower.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{path}");
        assert!(String::from_utf8_lossy(&answer.body).contains(part), "{path}");
    }
    let folder = server.get("/04-park");
    assert_eq!((folder.status, folder.header("location")), (301, "/04-park/"));
    let missing = server.get("/nowhere.html");
    assert_eq!((missing.status, missing.header("content-type")), (404, "text/html; charset=utf-8"));
    let wrong = server.ask("POST", "/", "Content-Length: 0\r\n");
    assert_eq!((wrong.status, wrong.header("allow")), (405, "get, head"));
}

#[test]
fn what_is_known_is_not_sent_again() {
    let sandbox = Sandbox::new();
    let server = Server::begin(&sandbox);
    let path = "/tower.svg";
    let whole = server.get(path);
    let head = server.ask("HEAD", path, "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());

    let (tag, date) = (whole.header("etag"), whole.header("last-modified"));
    // Dates are written with capitals.
    let original = String::from_utf8(httpdate(date)).unwrap();
    for condition in [
        format!("If-None-Match: {tag}\r\n"),
        format!("If-None-Match: \"x\", {tag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {original}\r\n"),
    ] {
        let answer = server.ask("GET", path, &condition);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{condition}");
        assert_eq!(answer.header("etag"), tag);
    }
    assert_eq!(server.ask("GET", path, "If-None-Match: \"x\"\r\n").status, 200);

    let length = whole.body.len();
    for (range, part) in
        [("bytes=0-9", 0..10), ("bytes=10-", 10..length), ("bytes=-5", length - 5..length)]
    {
        let answer = server.ask("GET", path, &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, 206, "{range}");
        let said = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), said);
        assert_eq!(answer.body, whole.body[part]);
    }
    let beyond = server.ask("GET", path, &format!("Range: bytes={length}-\r\n"));
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, &*format!("bytes */{length}"))
    );
    for all in [
        "Range: bytes=0-1,5-6\r\n",
        "Range: lines=1-2\r\n",
        "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n",
    ] {
        assert_eq!(server.ask("GET", path, all).status, 200, "{all}");
    }
}

/// A date in small letters, as servers write it.
fn httpdate(date: &str) -> Vec<u8> {
    let mut letters = date.as_bytes().to_vec();
    for at in [0, 8] {
        letters[at].make_ascii_uppercase();
    }
    let length = letters.len();
    letters[length - 3..].make_ascii_uppercase();
    letters
}

#[test]
fn no_path_leads_out_of_the_book() {
    let sandbox = Sandbox::new();
    let server = Server::begin(&sandbox);
    fs::write(sandbox.target("secret.txt"), "secret").unwrap();
    std::os::unix::fs::symlink(sandbox.target("secret.txt"), sandbox.target("book/link.txt"))
        .unwrap();
    for path in [
        "/../secret.txt",
        "/04-park/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/.made-from",
        "/link.txt",
        "/index.html%00.txt",
        "/%ff",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret\n"), "{path}");
    }
}

#[test]
fn odd_clients_harm_nobody() {
    let sandbox = Sandbox::new();
    let server = Server::begin(&sandbox);
    // A head of a mebibyte is refused, as soon as it is seen to be too long.
    let mut large = server.connect();
    let _ = large.write_all(b"GET / HTTP/1.1\r\nX: ");
    let sent = (0..1024).try_for_each(|_| large.write_all(&[b'x'; 1024]));
    let mut answer = Vec::new();
    let read = large.read_to_end(&mut answer);
    assert!(sent.is_err() || read.is_err() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
    // What is no HTTP, half a request, a slow one, and many that say nothing at all.
    let mut noise = server.connect();
    noise.write_all(&[0xff; 512]).unwrap();
    let mut half = server.connect();
    half.write_all(b"GET / HT").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let mut slow = server.connect();
    slow.write_all(b"GET /").unwrap();
    let idle = (0..300).map(|_| server.connect()).collect::<Vec<_>>();
    // One that asks for much and reads nothing.
    let mut deaf = server.connect();
    for _ in 0..100 {
        let _ = write!(deaf, "GET /print.html HTTP/1.1\r\nHost: book\r\n\r\n");
    }
    for byte in b" HTTP/1.1\r\nHost: book\r\n" {
        slow.write_all(&[*byte]).unwrap();
        assert_eq!(server.get("/").status, 200);
    }
    slow.write_all(b"\r\n").unwrap();
    let mut status = [0; 15];
    slow.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    drop((idle, noise, half, deaf));
}

#[test]
fn pages_learn_of_a_new_version() {
    let sandbox = Sandbox::new();
    let server = Server::begin(&sandbox);
    let version = |query: &str| {
        let answer = server.get(&format!("/.version?{query}"));
        String::from_utf8(answer.body).unwrap()
    };
    let old = version("");
    let text = sandbox.read("chapters/04-park/README.md") + "\nA last word.\n";
    sandbox.write("chapters/04-park/README.md", text);
    let new = version(&old);
    assert_ne!(old, new);
    assert!(
        String::from_utf8_lossy(&server.get("/04-park/README.html").body).contains("A last word.")
    );
}

#[test]
fn ctrl_c_ends_it_gently() {
    let sandbox = Sandbox::new();
    let server = Server::begin(&sandbox);
    let (idle, mut kept) = (server.connect(), server.connect());
    // It has had an answer, and may ask again.
    kept.write_all(b"HEAD / HTTP/1.1\r\nHost: book\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 64]).unwrap();
    let version = String::from_utf8(server.get("/.version").body).unwrap();
    let mut waits = server.connect();
    write!(waits, "GET /.version?{version} HTTP/1.1\r\nHost: book\r\n\r\n").unwrap();
    // First come, first served: when these are answered, that one has been read.
    (0..2).for_each(|_| assert_eq!(server.get("/").status, 200));
    let (code, time) = server.interrupt();
    assert_eq!(code, Some(0));
    assert!(time < scaled(Duration::from_secs(10)), "{time:?}");
    let mut answer = String::new();
    waits.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(idle);
}

#[test]
fn a_port_that_is_taken() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let outcome = run(sandbox.course(&["serve", "--port", &port])).ends_with(2);
    outcome.notes(&format!("The book cannot be served at port {port}")).notes("--port");
}

/// On a terminal, `cargo run` serves; in a pipe it says where the files are, and ends.
#[test]
fn the_front_door_serves_on_a_terminal() {
    let sandbox = Sandbox::new();
    let pty = nix::pty::openpty(None, None).unwrap();
    let (terminal, theirs): (OwnedFd, OwnedFd) = (pty.master, pty.slave);
    let mut command = sandbox.course(&[]);
    let child = command.stdout(theirs.try_clone().unwrap()).stderr(theirs).spawn().unwrap();
    drop(command);
    let mut lines = BufReader::new(fs::File::from(terminal)).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("http://")).expect("where it is");
    let address = line.split("http://").nth(1).unwrap().trim().trim_end_matches('/').to_owned();
    let server = Server { child, address };
    assert!(lines.any(|line| line.contains("Next:")));
    assert!(within(scaled(Duration::from_secs(10)), || server.get("/").status == 200));
    assert_eq!(server.interrupt().0, Some(0));
}
