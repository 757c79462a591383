//! Layer 15 and the clients that people use: a library, `redis-cli` and `redis-benchmark`; and beside it
//! the original, to which the same is said. What a machine lacks is said, and passes.

#![cfg(unix)]

use std::cell::RefCell;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::{
    Client, Commands, ExistenceCheck, FromRedisValue, RedisResult, SetExpiry, SetOptions, cmd, pipe,
};

use support::{Random, within};
use under_await::CancelToken;
use under_await::ch15_serve::redis::{Db, talk};
use under_await::net::TcpListener;
use under_await::server::{Limits, serve};

#[allow(unused)]
#[path = "../../support/mod.rs"]
mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(60);

// ── A library ──

/// All commands, as a library makes them and reads their replies.
#[test]
fn a_library_talks_to_it() {
    within(LIMIT, || {
        let ours = Ours::start();
        let mut it = ours.client().get_connection().unwrap();
        assert_eq!(ask(&mut it, "PING", &[]), Ok("PONG".to_owned()));
        assert_eq!(ask(&mut it, "PING", &["hello"]), Ok("hello".to_owned()));
        assert_eq!(ask(&mut it, "ECHO", &["hello"]), Ok("hello".to_owned()));

        assert_eq!(it.get("k"), Ok(None::<String>));
        assert_eq!(it.set("k", "v"), Ok(()));
        assert_eq!(it.get("k"), Ok(Some("v".to_owned())));
        let [v, x] = ["v", "x"].map(|value| Some(value.to_owned()));
        let (new, time) = (ExistenceCheck::NX, SetExpiry::EX(100));
        let options = SetOptions::default().conditional_set(new).with_expiration(time);
        assert_eq!(it.set_options("k", "x", options.clone()), Ok(None::<String>));
        assert_eq!(it.set_options("l", "x", options), Ok(Some("OK".to_owned())));
        assert_eq!(it.mget(&["k", "none", "l"]), Ok([v, None, x]));
        assert_eq!(it.ttl("k"), Ok(-1));
        assert_eq!(it.ttl("none"), Ok(-2));
        assert!((50..=100).contains(&it.ttl("l").unwrap()));
        assert_eq!(it.expire("l", 1_000), Ok(true));
        assert_eq!(it.expire("none", 1_000), Ok(false));
        assert!((500..=1_000).contains(&it.ttl("l").unwrap()));
        let options = SetOptions::default().with_expiration(SetExpiry::PX(1));
        assert_eq!(it.set_options("l", "y", options), Ok("OK".to_owned()));
        thread::sleep(Duration::from_millis(5));
        assert_eq!(it.get("l"), Ok(None::<String>));

        assert_eq!(ask(&mut it, "INCR", &["n"]), Ok(1));
        assert_eq!(ask(&mut it, "INCR", &["n"]), Ok(2));
        let error = ask::<i64>(&mut it, "INCR", &["k"]).unwrap_err();
        assert_eq!(error.code(), Some("ERR"), "{error}");
        assert_eq!(it.del(&["n", "k", "none"]), Ok(2));
        assert_eq!(it.publish("nobody", "hello"), Ok(0));
        let error = ask::<()>(&mut it, "NOSUCH", &[]).unwrap_err();
        assert_eq!(error.code(), Some("ERR"), "{error}");

        let bytes = (0..=255).cycle().take(1_000_000).collect::<Vec<u8>>();
        assert_eq!(it.set("bytes", &bytes), Ok(()));
        assert!(it.get::<_, Vec<u8>>("bytes").unwrap() == bytes);
    });
}

/// A pipeline of a thousand requests, and another one with an error in it.
#[test]
fn a_library_sends_a_pipeline() {
    within(LIMIT, || {
        let ours = Ours::start();
        let mut it = ours.client().get_connection().unwrap();
        let mut many = pipe();
        for _ in 0..1_000 {
            many.cmd("INCR").arg("n");
        }
        assert_eq!(many.query(&mut it), Ok((1..=1_000).collect::<Vec<u32>>()));
        let mut wrong = pipe();
        wrong.cmd("SET").arg("k").arg("v").cmd("INCR").arg("k").cmd("GET").arg("k");
        assert!(wrong.query::<()>(&mut it).is_err());
        assert_eq!(it.get("k"), Ok("v".to_owned()), "its replies are in step all the same");
    });
}

/// Two that listen, and one that speaks.
#[test]
fn a_library_subscribes() {
    within(LIMIT, || {
        let ours = Ours::start();
        let [mut speaker, mut one, mut two] =
            [(); 3].map(|()| ours.client().get_connection().unwrap());
        let mut listening = one.as_pubsub();
        listening.subscribe(&["a", "b"]).unwrap();
        let mut also = two.as_pubsub();
        also.subscribe("b").unwrap();
        assert_eq!(speaker.publish("a", "first"), Ok(1));
        assert_eq!(speaker.publish("b", "second"), Ok(2));
        for (channel, text) in [("a", "first"), ("b", "second")] {
            let message = listening.get_message().unwrap();
            assert_eq!(message.get_channel_name(), channel);
            assert_eq!(message.get_payload(), Ok(text.to_owned()));
        }
        assert_eq!(also.get_message().unwrap().get_payload(), Ok("second".to_owned()));
        listening.unsubscribe("a").unwrap();
        assert_eq!(speaker.publish("a", "third"), Ok(0));
        drop(also);
        // It says PUNSUBSCRIBE as well, which is not known here, so the connection is of no more use.
        drop(two);
        assert_eq!(speaker.publish("b", "fourth"), Ok(1));
        assert_eq!(listening.get_message().unwrap().get_payload(), Ok("fourth".to_owned()));
    });
}

fn ask<T: FromRedisValue>(
    it: &mut redis::Connection,
    name: &str,
    words: &[&str],
) -> RedisResult<T> {
    cmd(name).arg(words).query(it)
}

// ── The tools ──

/// What people type, and what they read.
#[test]
fn redis_cli_shows_what_it_should() {
    if !installed("redis-cli") {
        return;
    }
    within(LIMIT, || {
        let ours = Ours::start();
        let says = |words: &[&str]| {
            let output = ours.tool("redis-cli").args(words).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(says(&["PING"]), "PONG\n");
        assert_eq!(says(&["SET", "greeting", "hello, world"]), "OK\n");
        assert_eq!(says(&["GET", "greeting"]), "hello, world\n");
        assert_eq!(says(&["--no-raw", "GET", "greeting"]), "\"hello, world\"\n");
        assert_eq!(says(&["--no-raw", "GET", "none"]), "(nil)\n");
        assert_eq!(says(&["--no-raw", "INCR", "n"]), "(integer) 1\n");
        assert_eq!(says(&["-r", "3", "INCR", "n"]), "2\n3\n4\n");
        assert_eq!(says(&["--no-raw", "MGET", "n", "none"]), "1) \"4\"\n2) (nil)\n");
        assert_eq!(says(&["--no-raw", "INCR", "greeting"]).split(' ').next(), Some("(error)"));
        assert_eq!(says(&["--no-raw", "NOSUCH"]).split(' ').next(), Some("(error)"));

        let mut typed = Running(
            ours.tool("redis-cli").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap(),
        );
        let mut keyboard = typed.0.stdin.take().unwrap();
        keyboard.write_all(b"SET typed \"a b\"\nGET typed\nDEL typed\n").unwrap();
        drop(keyboard);
        let shown = io::read_to_string(typed.0.stdout.take().unwrap()).unwrap();
        assert_eq!(shown, "OK\na b\n1\n");
    });
}

/// It prints messages as they come.
#[test]
fn redis_cli_subscribes() {
    if !installed("redis-cli") {
        return;
    }
    within(LIMIT, || {
        let ours = Ours::start();
        let mut listening = ours.tool("redis-cli");
        listening.args(["SUBSCRIBE", "news"]).stdout(Stdio::piped());
        let mut listening = Running(listening.spawn().unwrap());
        let mut lines = BufReader::new(listening.0.stdout.take().unwrap()).lines();
        let mut shown = || [(); 3].map(|()| lines.next().unwrap().unwrap());
        assert_eq!(shown(), ["subscribe", "news", "1"]);
        let mut speaker = ours.client().get_connection().unwrap();
        for text in ["one", "two"] {
            assert_eq!(speaker.publish("news", text), Ok(1));
            assert_eq!(shown(), ["message", "news", text]);
        }
    });
}

/// A load from outside comes to its end, and no reply is an error.
#[test]
fn redis_benchmark_comes_to_an_end() {
    if !installed("redis-benchmark") {
        return;
    }
    for pipeline in ["1", "16"] {
        within(LIMIT, move || {
            let ours = Ours::start();
            let mut benchmark = ours.tool("redis-benchmark");
            benchmark.args(["-n", "2000", "-c", "20", "-P", pipeline, "-q"]);
            benchmark.args(["-t", "ping_inline,ping_mbulk,set,get,incr"]);
            let output = benchmark.output().unwrap();
            let [shown, errors] =
                [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
            println!("-P {pipeline}\n{}{errors}", shown.replace('\r', "\n"));
            assert!(output.status.success(), "{}", output.status);
            assert_eq!(shown.matches("requests per second").count(), 5, "{shown}");
            let lower = format!("{shown}{errors}").to_lowercase();
            assert!(!lower.contains("err"), "{shown}{errors}");
        });
    }
}

// ── The original ──

/// How many commands are said to both.
const COMMANDS: usize = 2_000;

/// A walk through all commands, with wrong words too, on few keys: the same replies, byte for byte. Of
/// an error, its kind; and of the time that is left, what may have passed.
#[test]
fn it_answers_as_the_original_does() {
    let Some(theirs) = Theirs::start("answers") else { return };
    let socket = theirs.socket();
    within(LIMIT, move || {
        let ours = Ours::start();
        for seed in 0..4 {
            let mut both = (ours.stream(), stream(&socket));
            let mut random = Random(seed);
            let mut kinds = [0, 0];
            let mut left = COMMANDS;
            while left > 0 {
                let batch = (0..(1 + random.below(20) as usize).min(left))
                    .map(|_| any_request(&mut random))
                    .collect::<Vec<_>>();
                left -= batch.len();
                let bytes =
                    batch.iter().flat_map(|words| encode(words, &mut random)).collect::<Vec<_>>();
                both.0.get_mut().write_all(&bytes).unwrap();
                both.1.get_mut().write_all(&bytes).unwrap();
                for request in batch {
                    let (our, their) = (reply(&mut both.0), reply(&mut both.1));
                    kinds[usize::from(our.starts_with(b"-"))] += 1;
                    let shown =
                        [&our, &their].map(|reply| String::from_utf8_lossy(reply).into_owned());
                    let request = request
                        .iter()
                        .map(|word| String::from_utf8_lossy(word))
                        .collect::<Vec<_>>();
                    assert!(same(&our, &their), "seed {seed}, {request:?}: {shown:?}");
                }
            }
            println!("seed {seed}: {} replies, {} errors", kinds[0], kinds[1]);
            assert!(kinds.iter().all(|count| *count > COMMANDS / 10), "{kinds:?}");
        }
    });
}

/// Some request: mostly one that can be done.
fn any_request(random: &mut Random) -> Vec<Vec<u8>> {
    const KEYS: &[&str] = &["a", "b", "n", "m", "key with spaces"];
    const VALUES: &[&str] =
        &["1", "-7", "9223372036854775806", "9223372036854775807", "x", "", "\r\n\0", "01"];
    const TIMES: &[&str] = &["100", "2000", "300000", "0", "-5", "x", "", "007"];
    // In milliseconds, here it is a very long time, and there it is none.
    const LONGEST: &str = "9223372036854775807";
    const MORE: &[&str] = &["NX", "nx", "EX", "px", "junk"];
    let one =
        |random: &mut Random, list: &[&'static str]| list[random.below(list.len() as u32) as usize];
    let (key, other) = (one(random, KEYS), one(random, KEYS));
    let (value, time) = (one(random, VALUES), one(random, TIMES));
    let unit = if random.below(2) == 0 { "EX" } else { "pX" };
    let seconds = if random.below(10) == 0 { LONGEST } else { time };
    let mut words = match random.below(32) {
        0 => vec!["PING"],
        1 => vec!["pInG", value],
        2 => vec!["ECHO", value],
        3..6 => vec!["GET", key],
        6..8 => vec!["MGET", key, "none", other, key],
        8..12 => vec!["SET", key, value],
        12 => vec!["SET", key, value, "NX"],
        13 => vec!["SET", key, value, "EX", seconds],
        14 => vec!["SET", key, value, "PX", "300000"],
        15 => vec!["SET", key, value, "nx", unit, time],
        16 => vec!["SET", key, value, unit, time, "NX"],
        17 => vec!["SET", key, value, one(random, MORE), one(random, TIMES), one(random, MORE)],
        18 => vec!["SET", key, value, "EX", "100", "PX", "200000"],
        19 => vec!["DEL", key],
        20 => vec!["DEL", key, other, key],
        21..25 => vec!["INCR", key],
        25..27 => vec!["EXPIRE", key, seconds],
        27..30 => vec!["TTL", key],
        30 => vec!["PUBLISH", key, value],
        _ => vec![one(random, &["NOSUCH", "", "GETT"]), value],
    };
    match random.below(12) {
        0 => words.truncate(1),
        // EXPIRE has options in the original, and this is none.
        1 => words.push("junk"),
        _ => {}
    }
    words.into_iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// What both are told of changes in what they listen to, and of messages, is the same too. What else they
/// answer meanwhile is not: the original has a mode for it.
#[test]
fn it_delivers_as_the_original_does() {
    let Some(theirs) = Theirs::start("delivers") else { return };
    let socket = theirs.socket();
    within(LIMIT, move || {
        const CHANNELS: &[&str] = &["a", "b", "c", ""];
        let ours = Ours::start();
        let (mut listen, mut speak) =
            ((ours.stream(), stream(&socket)), (ours.stream(), stream(&socket)));
        let (mut random, mut joined, mut heard) = (Random(15), [false; CHANNELS.len()], 0);
        for _ in 0..1_000 {
            let some = (0..random.below(4)).map(|_| random.below(CHANNELS.len() as u32) as usize);
            let some = some.collect::<Vec<_>>();
            let words = |name: &str| {
                let channels = some.iter().map(|channel| CHANNELS[*channel]);
                [name].into_iter().chain(channels).map(|word| word.as_bytes().to_vec()).collect()
            };
            match random.below(4) {
                // Without words it is an error.
                0 => {
                    told_alike(&mut listen, words("SUBSCRIBE"), some.len().max(1));
                    some.iter().for_each(|channel| joined[*channel] = true);
                }
                1 => {
                    let all = joined.iter().filter(|joined| **joined).count();
                    // Each has an order of its own for all of them.
                    if some.is_empty() && all > 1 {
                        continue;
                    }
                    told_alike(&mut listen, words("unsubscribe"), some.len().max(1));
                    match &some[..] {
                        [] => joined = [false; CHANNELS.len()],
                        some => some.iter().for_each(|channel| joined[*channel] = false),
                    }
                }
                _ => {
                    let channel = random.below(CHANNELS.len() as u32) as usize;
                    let text = format!("message {}", random.below(1_000));
                    let words =
                        ["PUBLISH", CHANNELS[channel], &text].map(|word| word.as_bytes().to_vec());
                    told_alike(&mut speak, words.to_vec(), 1);
                    if joined[channel] {
                        let messages = (reply(&mut listen.0), reply(&mut listen.1));
                        assert_eq!(messages.0, messages.1);
                        heard += 1;
                    }
                }
            }
        }
        println!("{heard} messages");
        assert!(heard > 100, "{heard} messages");
    });
}

/// Says it to both, and compares so many replies.
fn told_alike(both: &mut (Stream, Stream), request: Vec<Vec<u8>>, replies: usize) {
    let bytes = encode(&request, &mut Random(0));
    both.0.get_mut().write_all(&bytes).unwrap();
    both.1.get_mut().write_all(&bytes).unwrap();
    for _ in 0..replies {
        let (our, their) = (reply(&mut both.0), reply(&mut both.1));
        let shown = [&our, &their].map(|reply| String::from_utf8_lossy(reply).into_owned());
        assert!(same(&our, &their), "{:?}: {shown:?}", String::from_utf8_lossy(&bytes));
    }
}

/// A request in the bytes of the protocol: as an array, or where it can be one, as a line.
fn encode(words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let plain = |word: &Vec<u8>| !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric);
    if random.below(4) == 1 && words.iter().all(plain) {
        return [&words.join(&b' ')[..], b"\r\n"].concat();
    }
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend([word, &b"\r\n"[..]].concat());
    }
    bytes
}

/// One reply, in its bytes.
fn reply(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes).unwrap();
    let line = String::from_utf8(bytes.clone()).unwrap();
    let number = line[1..].trim_end().parse::<i64>();
    match (bytes[0], number) {
        (b'$', Ok(length)) if length >= 0 => {
            let mut word = vec![0; length as usize + 2];
            stream.read_exact(&mut word).unwrap();
            bytes.extend(word);
        }
        (b'*', Ok(count)) => (0..count).for_each(|_| bytes.extend(reply(stream))),
        (b'$' | b':', Ok(_)) | (b'+' | b'-', _) => {}
        _ => panic!("no reply begins with {line:?}"),
    }
    bytes
}

/// Whether two replies say the same. Of an error, the first word does: our sentences are shorter.
fn same(ours: &[u8], theirs: &[u8]) -> bool {
    let kind = |reply: &[u8]| reply.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec);
    let number = |reply: &[u8]| str::from_utf8(reply).ok()?[1..].trim_end().parse::<i64>().ok();
    match (ours, theirs) {
        ([b'-', ..], [b'-', ..]) => kind(ours) == kind(theirs),
        // Some time has passed between the two.
        ([b':', ..], [b':', ..]) => match (number(ours), number(theirs)) {
            (Some(ours), Some(theirs)) if ours > 50 => ours.abs_diff(theirs) <= 30,
            (ours, theirs) => ours == theirs,
        },
        _ => ours == theirs,
    }
}

// ── Who talks to whom ──

/// Our server, on a thread of its own until this is dropped.
struct Ours {
    address: SocketAddr,
    stop: CancelToken,
    thread: Option<JoinHandle<()>>,
}

impl Ours {
    fn start() -> Self {
        let (tell, told) = mpsc::channel();
        let stop = CancelToken::new();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            under_await::block_on(async {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0)).unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let db = Rc::new(RefCell::new(Db::default()));
                let limits = Limits { grace: Duration::from_millis(100), ..Limits::default() };
                let handler = move |client| talk(client, db.clone());
                let _ = serve(listener, limits, handler, stopped.cancelled()).await;
            });
        });
        Ours { address: told.recv().unwrap(), stop, thread: Some(thread) }
    }

    fn client(&self) -> Client {
        Client::open(format!("redis://{}/", self.address)).unwrap()
    }

    fn stream(&self) -> Stream {
        BufReader::new(Box::new(TcpStream::connect(self.address).unwrap()))
    }

    /// A program that talks to it.
    fn tool(&self, name: &str) -> Command {
        let mut tool = Command::new(name);
        tool.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        tool.stdin(Stdio::null());
        tool
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.stop.cancel();
        let end = self.thread.take().expect("it ends once").join();
        assert!(thread::panicking() || end.is_ok(), "the server has panicked");
    }
}

/// The original, in a folder of its own, without a port that others could find, until this is dropped.
struct Theirs {
    _process: Running,
    folder: PathBuf,
}

impl Theirs {
    /// Starts it, if it is installed. Its folder is that of `test`.
    fn start(test: &str) -> Option<Self> {
        if !installed("redis-server") {
            return None;
        }
        let folder = env::temp_dir().join(format!("under-await-{}-{test}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let process = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let theirs = Theirs { _process: Running(process), folder };
        let deadline = Instant::now() + LIMIT;
        while UnixStream::connect(theirs.socket()).is_err() {
            assert!(Instant::now() < deadline, "it does not start");
            thread::sleep(Duration::from_millis(5));
        }
        Some(theirs)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }
}

/// A connection to what listens there.
fn stream(socket: &Path) -> Stream {
    BufReader::new(Box::new(UnixStream::connect(socket).unwrap()))
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program that ends when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection to either.
type Stream = BufReader<Box<dyn ReadWrite>>;

trait ReadWrite: Read + Write + Send {}

impl<T: Read + Write + Send> ReadWrite for T {}

/// Whether a program is here; if it is not, this says so.
fn installed(name: &str) -> bool {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        println!("skipped: {name} is not installed");
    }
    found.is_ok()
}
