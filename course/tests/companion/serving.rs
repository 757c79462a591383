//! `serve`, and `cargo run` on a terminal: the book, served by the runtime that it builds.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::{Lines, Sandbox, run, scaled, within};

/// A companion that serves; it is killed when this is dropped.
struct Server {
    child: Child,
    /// `127.0.0.1:3000`.
    address: String,
}

impl Server {
    /// Begins to serve the book of a sandbox, at a port that is free.
    fn begin(sandbox: &Sandbox) -> Self {
        Server::begun_by(sandbox.course(&["serve", "--port", "0"])).0
    }

    /// What `command` serves, and what it notes.
    fn begun_by(mut command: Command) -> (Self, BufReader<ChildStderr>) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut line, notes) = (String::new(), BufReader::new(child.stderr.take().unwrap()));
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = address(&line).unwrap_or_else(|| panic!("`{line}`"));
        (Server { child, address }, notes)
    }

    /// Its port.
    fn port(&self) -> u16 {
        self.address.parse::<SocketAddr>().unwrap().port()
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
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: book\r\nConnection: close\r\n{headers}\r\n");
        // In one piece: to a path that is none the answer comes, and the end, before the headers.
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// The version of the book, as soon as it is not `old`, but not for ever.
    fn version(&self, old: &str) -> String {
        String::from_utf8(self.get(&format!("/.version?{old}")).body).unwrap()
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

/// `127.0.0.1:3000`, of a line in which there is `http://127.0.0.1:3000/`.
fn address(line: &str) -> Option<String> {
    let (_, url) = line.split_once("http://")?;
    Some(url.split_once('/')?.0.to_owned())
}

/// A companion at work on a terminal; it is killed when this is dropped.
struct Terminal {
    /// At the address that it has said.
    server: Server,
    /// What it prints.
    lines: Lines,
}

impl Terminal {
    fn begin(mut command: Command) -> Self {
        let pty = nix::pty::openpty(None, None).unwrap();
        let (terminal, theirs): (OwnedFd, OwnedFd) = (pty.master, pty.slave);
        let child = command.stdout(theirs.try_clone().unwrap()).stderr(theirs).spawn().unwrap();
        let server = Server { child, address: String::new() };
        Terminal { server, lines: Lines::of(fs::File::from(terminal)) }
    }

    /// What it prints until it has said where the book is.
    #[track_caller]
    fn until_served(&mut self) -> String {
        let lines = self.lines.until("http://");
        self.server.address = address(&lines[lines.len() - 1]).unwrap();
        lines.join("\n")
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
    let sandbox = Sandbox::with_book();
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
    let sandbox = Sandbox::with_book();
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

/// Whoever follows every link, from the first page on, finds a page at the end of each, and every
/// page; and what the pages are made with is what a browser takes for it.
#[test]
fn every_page_can_be_walked_to() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    let (mut to_do, mut found) = (vec!["/".to_owned()], BTreeMap::new());
    while let Some(path) = to_do.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        let (kind, text) = (answer.header("content-type"), String::from_utf8_lossy(&answer.body));
        assert_eq!(kind, content_type(&path), "{path}");
        to_do.extend(links(&path, kind, &text));
        found.insert(path, text.len());
    }
    let mut missed = files(&sandbox.target("book"));
    let elsewhere = |path: &str| path == "/404.html" || path == "/index.html";
    missed.retain(|path| path.ends_with(".html") && !elsewhere(path) && !found.contains_key(path));
    assert!(missed.is_empty(), "nothing leads to {missed:?}");
    // The search is made of three scripts and an index, which is one more.
    for name in ["/elasticlunr-", "/mark-", "/searcher-", "/searchindex-"] {
        let length =
            found.iter().find(|(path, _)| path.starts_with(name)).map(|(_, length)| *length);
        assert!(length.is_some_and(|length| length > 1000), "{name}: {length:?}");
    }
    println!("{} addresses", found.len());
}

/// What a browser takes the file at `path` for.
fn content_type(path: &str) -> &str {
    match path.rsplit_once('.').map_or("html", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "rs" => "text/x-rust; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        other => panic!("what is .{other}?"),
    }
}

/// Where the links of a page or a style sheet lead to, on this server. The pages name the index of
/// the search, which a script loads, as a string.
fn links(path: &str, kind: &str, text: &str) -> Vec<String> {
    let marks: &[&str] = match kind.split(';').next() {
        Some("text/html") => &[" href=\"", " src=\"", "path_to_searchindex_js = \""],
        Some("text/css") => &["url(\"", "url('", "url("],
        _ => &[],
    };
    let after = marks.iter().flat_map(|mark| text.split(mark).skip(1));
    let links = after.map(|rest| rest.split(['"', '\'', ')', '#', '?']).next().unwrap());
    let ours = links.filter(|link| !link.is_empty() && !link.contains(':'));
    ours.map(|link| resolved(path, link)).collect()
}

/// What `link` means on the page at `path`.
fn resolved(path: &str, link: &str) -> String {
    let (folder, _) = path.rsplit_once('/').unwrap();
    let mut names = folder.split('/').filter(|name| !name.is_empty()).collect::<Vec<_>>();
    for name in link.split('/') {
        match name {
            ".." => assert!(names.pop().is_some(), "{path}: {link} leads out of the book"),
            "." => {}
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// The addresses of the files in `book`.
fn files(book: &std::path::Path) -> Vec<String> {
    let (mut folders, mut files) = (vec![book.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(format!("/{}", path.strip_prefix(book).unwrap().display())),
            }
        }
    }
    files
}

#[test]
fn no_path_leads_out_of_the_book() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    let secret = sandbox.target("secret.txt");
    fs::write(&secret, "kept to ourselves").unwrap();
    symlink(&secret, sandbox.target("book/link.txt")).unwrap();
    let absolute = secret.display().to_string();
    for path in [
        "/../secret.txt",
        "/04-park/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E/secret.txt",
        "/.%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/%5c..%5csecret.txt",
        "//../secret.txt",
        "/./../secret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/C:/secret.txt",
        "/.made-from",
        "/link.txt",
        "/index.html%00.txt",
        "/%00",
        "/%ff",
        "/%",
        "/index.html/",
        &absolute,
        &format!("/{absolute}"),
        &format!("http://book{absolute}"),
        "http://book/../secret.txt",
        &format!("/{}", "a".repeat(300)),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("ourselves"), "{path}");
    }
    // These are no paths at all.
    for path in ["../secret.txt", "secret.txt/..", "/index\0.html", "/\u{7f}", "file:///etc/passwd"]
    {
        let answer = server.get(path);
        assert!([400, 404].contains(&answer.status), "{path:?}: {answer:?}");
    }
    assert_eq!(server.get("http://book/tower.svg").status, 200);
}

/// What is not there, what may not be read, and what the system does not give, are three things.
#[test]
fn an_answer_says_why_there_is_no_page() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    let says = |path: &str, status: u16, text: &str| {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (status, content_type("/")));
        let body = String::from_utf8_lossy(&answer.body);
        assert!(body.contains(text), "`{text}` is not in {body}");
    };
    says("/nowhere.html", 404, "href=\"introduction.html\"");
    says("/tower.svg/nowhere.html", 404, "href=\"introduction.html\"");

    symlink("round.html", sandbox.target("book/round.html")).unwrap();
    says("/round.html", 503, "cannot be read: too many levels of symbolic links.");

    let locked = sandbox.target("book/tower.svg");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if fs::read(&locked).is_err() {
        says("/tower.svg", 403, "cannot be read: permission denied.");
    }
}

#[test]
fn odd_clients_harm_nobody() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    // What is no HTTP, half a request, a slow one, and one that asks for much and reads nothing.
    let mut noise = server.connect();
    noise.write_all(&[0xff; 512]).unwrap();
    let mut half = server.connect();
    half.write_all(b"GET / HT").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let mut slow = server.connect();
    slow.write_all(b"GET /").unwrap();
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
    drop((noise, half, deaf));
}

/// A head of a mebibyte is refused as soon as it is seen to be too long, and in so many words.
#[test]
fn a_head_that_is_too_long_is_refused() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    let mut large = server.connect();
    large.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    large.write_all(&[b'x'; 32 * 1024]).unwrap();
    // So much may still become a request. Others need not wait for that.
    assert_eq!(server.get("/").status, 200);
    let mut writer = large.try_clone().unwrap();
    let writer =
        thread::spawn(move || (32..1024).try_for_each(|_| writer.write_all(&[b'x'; 1024])));
    let mut answer = Vec::new();
    // The connection is cut off behind the answer: there is more to come.
    let _ = large.read_to_end(&mut answer);
    let _ = writer.join().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.get("/").status, 200);
}

/// Who says nothing, and who says it too slowly, is cut off; who asks again and again is not.
#[test]
fn patience_has_an_end() {
    let sandbox = Sandbox::with_book();
    let patience = scaled(Duration::from_secs(1));
    let mut command = sandbox.course(&["serve", "--port", "0"]);
    command.env("UNDER_AWAIT_PATIENCE", patience.as_millis().to_string());
    let (server, _notes) = Server::begun_by(command);
    let (mut silent, mut slow, mut asks) = (server.connect(), server.connect(), server.connect());
    let start = Instant::now();
    write!(slow, "GET / HTTP/1.1\r\nX: ").unwrap();
    let mut asked = 0;
    let cut_off = within(20 * patience, || {
        asks.write_all(b"HEAD /tower.svg HTTP/1.1\r\nHost: book\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let length = asks.read(&mut answer).expect("who asks is not cut off");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
        asked += 1;
        // Nothing tells the writer but a second try.
        slow.write_all(b"x").and_then(|()| slow.write_all(b"x")).is_err()
            && start.elapsed() > 3 * patience
    });
    assert!(cut_off, "a head that comes byte by byte is waited for, for {:?}", start.elapsed());
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "who says nothing is cut off");
    println!("{asked} answers, {:?}", start.elapsed());
}

/// A thousand that say nothing, and a page comes about as quickly as without them.
#[test]
fn a_crowd_that_says_nothing_is_no_burden() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    // Ten of the fastest: others use the machine as well.
    let time = || {
        let time = |_| {
            let start = Instant::now();
            assert_eq!(server.get("/").status, 200);
            start.elapsed()
        };
        let mut times = (0..50).map(time).collect::<Vec<_>>();
        times.sort();
        times[..10].iter().sum::<Duration>()
    };
    let alone = time();
    let files = rlimit::increase_nofile_limit(2000).unwrap();
    let many = 1000.min(files / 2);
    if many < 1000 {
        println!("only {many} connections: `ulimit -n` allows {files} open files");
    }
    let crowd = (0..many).map(|_| server.connect()).collect::<Vec<_>>();
    let among = time();
    println!("ten pages: {alone:?}, and {among:?} among {many}");
    assert!(among < 10 * alone + scaled(Duration::from_millis(500)), "{among:?} after {alone:?}");
    // None of them was turned away.
    for mut one in [&crowd[0], &crowd[crowd.len() - 1]] {
        one.write_all(b"HEAD / HTTP/1.1\r\nHost: book\r\n\r\n").unwrap();
        let mut status = [0; 15];
        one.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
    }
}

/// Where open files are few, so are the connections. That is said; and who comes in vain has to wait
/// until another goes, and no longer.
#[test]
fn few_open_files_are_few_connections() {
    let sandbox = Sandbox::with_book();
    let (server, mut notes) =
        Server::begun_by(sandbox.course_with_files(64, &["serve", "--port", "0"]));
    let mut note = String::new();
    notes.read_line(&mut note).unwrap();
    assert_eq!(
        note,
        "The book has at most 32 connections at once: `ulimit -n` allows 64 open files.\n"
    );
    let mut crowd = (0..32).map(|_| server.connect()).collect::<Vec<_>>();
    let mut late = server.connect();
    late.write_all(b"HEAD / HTTP/1.1\r\nHost: book\r\n\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut status = [0; 15];
    let waits = late.read(&mut status).unwrap_err().kind();
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&waits), "{waits}");
    drop(crowd.pop());
    late.set_read_timeout(Some(scaled(Duration::from_secs(10)))).unwrap();
    late.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
}

#[test]
fn pages_learn_of_a_new_version() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    comes_again(&sandbox, &server);
}

/// The same, while every save is checked.
#[test]
fn pages_learn_of_a_new_version_from_watch_as_well() {
    let sandbox = Sandbox::with_book();
    let mut terminal = Terminal::begin(sandbox.course_without_cargo(&["watch", "4"]));
    terminal.until_served();
    comes_again(&sandbox, &terminal.server);
}

/// Whatever the book is made from changes: pages learn of it, and it is in them.
#[track_caller]
fn comes_again(sandbox: &Sandbox, server: &Server) {
    let page = sandbox.read("chapters/04-park/README.md") + "\nA last word.\n";
    let settings = sandbox.read("book.toml").replace("Under .await", "Over .await");
    for (source, text, part) in [
        ("chapters/04-park/README.md", page, "A last word."),
        ("book.toml", settings, "Over .await"),
    ] {
        let old = server.version("");
        // As most editors do it.
        fs::write(sandbox.target("new"), text).unwrap();
        fs::rename(sandbox.target("new"), sandbox.path(source)).unwrap();
        assert!(within(scaled(Duration::from_secs(30)), || {
            server.version(&old) != old
                && String::from_utf8_lossy(&server.get("/04-park/README.html").body).contains(part)
        }));
    }
}

#[test]
fn ctrl_c_ends_it_gently() {
    let sandbox = Sandbox::with_book();
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
fn a_port_that_cannot_be_had() {
    let sandbox = Sandbox::with_book();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let refused = |port: u16| {
        let port = port.to_string();
        let outcome = run(sandbox.course(&["serve", "--port", &port])).ends_with(2);
        outcome.notes(&format!("The book cannot be served at port {port} (")).notes("`--port`")
    };
    refused(taken.local_addr().unwrap().port()).notes("in use");
    // Some systems, and root on any, may have every port.
    if TcpListener::bind(("127.0.0.1", 1)).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied) {
        refused(1).notes("denied");
    }
}

/// Nobody has insisted on the usual port: where it is taken, the book is at another.
#[test]
fn the_usual_port_may_be_taken() {
    let sandbox = Sandbox::with_book();
    for arguments in [[].as_slice(), &["serve"], &["watch", "4"]] {
        loop {
            // If it is not ours, it is somebody else's.
            let ours = TcpListener::bind(("127.0.0.1", 3000));
            let mut terminal = Terminal::begin(sandbox.course_without_cargo(arguments));
            let said = terminal.until_served();
            if ours.is_err() && terminal.server.port() == 3000 {
                // Who has let go of it meanwhile.
                continue;
            }
            assert_ne!(terminal.server.port(), 3000);
            assert!(said.contains("Port 3000 is taken, so the book is at another."), "{said}");
            assert_eq!(terminal.server.get("/").status, 200, "{arguments:?}");
            break;
        }
    }
}

/// Nothing beyond this machine reaches the book.
#[test]
fn only_this_machine_is_served() {
    let sandbox = Sandbox::with_book();
    let server = Server::begin(&sandbox);
    assert_eq!(server.get("/").status, 200);
    // Another address of loopback, and that which the world knows us by; nothing is sent to find it.
    let outside = || -> io::Result<_> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(("192.0.2.1", 9))?;
        socket.local_addr()
    };
    let addresses = [Ok(Ipv4Addr::new(127, 0, 0, 2).into()), outside().map(|a| a.ip())];
    for ip in addresses.into_iter().flatten().filter(|ip| *ip != Ipv4Addr::LOCALHOST) {
        let limit = scaled(Duration::from_secs(2));
        let reached = TcpStream::connect_timeout(&SocketAddr::new(ip, server.port()), limit);
        assert!(reached.is_err(), "the book is at {ip} as well");
    }
}

/// On a terminal, `cargo run` serves; in a pipe it says where the files are, and ends.
#[test]
fn the_front_door_serves_on_a_terminal() {
    let sandbox = Sandbox::with_book();
    let mut terminal = Terminal::begin(sandbox.course(&[]));
    let said = terminal.until_served();
    // Others may have the usual port, but only then it is another.
    assert_eq!(terminal.server.port() == 3000, !said.contains("Port 3000 is taken"), "{said}");
    terminal.lines.until("Next:");
    assert!(within(scaled(Duration::from_secs(10)), || terminal.server.get("/").status == 200));
    assert_eq!(terminal.server.interrupt().0, Some(0));
}

/// Whatever keeps the book from being served, that is said, and saves are checked all the same.
#[test]
fn watch_goes_on_without_the_book() {
    let sandbox = Sandbox::with_book();
    // The book is built: what is missing is what a server needs.
    if cfg!(target_os = "linux") {
        let poor = Terminal::begin(sandbox.course_with_files(10, &["watch", "4"]));
        poor.lines.until("The book cannot be served: too many open files.");
        poor.lines.until("Every save of tests/my_*.rs is checked.");
        poor.lines.until("── 4 · park ──");
    }
    fs::remove_file(sandbox.path("chapters/03-waker/README.md")).unwrap();
    let unbuilt = Terminal::begin(sandbox.course_without_cargo(&["watch", "4"]));
    unbuilt.lines.until("mdBook cannot build the book");
    unbuilt.lines.until("Every save of tests/my_*.rs is checked.");
    unbuilt.lines.until("cargo cannot be started");
}
