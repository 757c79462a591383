//! # Layer 15 · a server
//!
//! **Before.** The parts are there: sockets, tasks, races, permits. Each server has to put them
//! together on its own, and each forgets something that only a bad day shows.
//!
//! **Idea.** One loop accepts, and each connection has a task and a permit. All that could go on for
//! ever has a limit: how many there are, a client's silence, its not listening, and the end.
//!
//! **Invariants.**
//! 1. *Room first:* a client is accepted when there is a permit for it; until then it waits outside.
//! 2. *It goes on:* no error of accept(2), and nothing that a handler does, ends the server.
//! 3. *No silence for ever:* a client that neither sends nor takes anything for a while is let go.
//! 4. *One answer, then the next:* what a client does not take keeps it from asking for more.
//! 5. *A good end:* whatever was asked by then is answered, within a limit; then nothing is left.
//!
//! **Still wrong.** It is one thread: while one command computes, all clients wait, and the other
//! cores have nothing to do.
//!
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.

#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]
#![deny(unsafe_code)]

use std::io;
use std::io::ErrorKind::{TimedOut, WriteZero};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures::io::{AsyncReadExt, AsyncWriteExt};

use under_await::budget::Budget;
use under_await::ch01_future::{poll_once, yield_now};
use under_await::ch09_timer::{Elapsed, sleep, timeout};
use under_await::ch10_net::{TcpListener, TcpStream};
use under_await::ch11_task::spawn;
use under_await::ch13_race::{CancelToken, on_drop, race, select};
use under_await::ch14_sync::{Receiver, Semaphore, Sender, channel};

/// Accepts connections, and runs `handler` for each, in a task of its own, until `shutdown` is ready.
/// Then nobody is accepted any more, and each [`Connection`] comes to its end: when all that has
/// arrived is read, a read gives 0 bytes. What is not over after the grace of `limits` is dropped, and
/// the answer is an error.
///
/// Dropped before, it drops its handlers too, each when its turn comes. A handler that panics ends
/// its own connection only.
pub async fn serve<H, F, S>(
    listener: TcpListener,
    limits: Limits,
    handler: H,
    shutdown: S,
) -> Result<(), Elapsed>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
    S: IntoFuture,
{
    let server = Rc::new(Server::new(limits, handler));
    // However we end, no handler stays behind.
    let _cut = on_drop(|| server.cut.cancel());
    let (alive, all_gone) = channel(1);
    race(shutdown, server.clone().accept_all(&listener, &alive)).await;
    server.end(listener, alive, all_gone).await
}

/// What a server grants its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections there are at once. Who comes then waits to be accepted.
    pub connections: usize,
    /// How long a client may be silent while it is waited for, or take nothing of what it is sent.
    pub idle: Duration,
    /// How long connections have, from the shutdown on, to come to their ends.
    pub grace: Duration,
}

impl Default for Limits {
    /// 1,000 connections, a minute, and ten seconds.
    fn default() -> Self {
        let (idle, grace) = (Duration::from_secs(60), Duration::from_secs(10));
        Limits { connections: 1_000, idle, grace }
    }
}

/// What the connections of a server share.
struct Server<H> {
    /// What runs for each.
    handler: H,
    /// How long each may be silent, and how many there are at most.
    limits: Limits,
    /// A permit for each connection that there may be.
    room: Semaphore,
    /// Cancelled when the server ends: a connection has no more to read.
    ending: CancelToken,
    /// Cancelled when it has ended: its connection is gone.
    cut: CancelToken,
}

/// How long nobody is accepted when the system could not.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the end of a client is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

impl<H, F> Server<H>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
{
    fn new(limits: Limits, handler: H) -> Self {
        let room = Semaphore::new(limits.connections);
        let (ending, cut) = (CancelToken::new(), CancelToken::new());
        Server { handler, limits, room, ending, cut }
    }
}

impl<H, F> Server<H>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
{
    /// Accepts whoever comes, as long as there is room, and never ends.
    async fn accept_all(self: Rc<Self>, listener: &TcpListener, alive: &Sender<()>) {
        todo!("15.1: first a permit, then a client, and a task for it; after an error, a pause")
    }
}

impl<H, F> Server<H>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
{
    /// Runs the handler of a connection. When it is over, in whatever way, the permit is back.
    async fn run(self: Rc<Self>, stream: TcpStream, peer: SocketAddr, _alive: Sender<()>) {
        let _leave = on_drop(|| self.room.add_permits(1));
        let (idle, ending) = (self.limits.idle, self.ending.clone());
        let connection = Connection::new(stream, peer, idle, ending);
        race(self.cut.cancelled(), async { (self.handler)(connection).await }).await;
    }
}

/// A client's connection to a server, with the limits that the server set.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    stream: TcpStream,
    /// Whose it is.
    peer: SocketAddr,
    /// How long a read or a write may get nowhere.
    idle: Duration,
    /// Cancelled when the server ends.
    ending: CancelToken,
}

impl Connection {
    /// Reads into `buffer`. It gives 0 bytes when the client has nothing more to say, and when there
    /// is nothing to read and the server ends. If nothing comes for too long, the error is `TimedOut`.
    /// Cancel safe.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        todo!("15.2: read; or, when the server ends, read what is left; or lose patience")
    }
}

impl Connection {
    /// Reads what is there; 0 bytes, if nothing is. A read that is pending does not say that: after
    /// a short one it waits to be told of more, and with its budget used up it waits for its turn.
    async fn read_what_is_left(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // A client that sends without a pause does not keep the others from their turns.
        yield_now().await;
        let mut stream = &self.stream;
        let mut read = stream.read(buffer);
        // The first look may be the one that waits to be told.
        for _ in 0..2 {
            let look = Budget::default().grant(1, || poll_once(Pin::new(&mut read)));
            if let Poll::Ready(count) = look {
                return count;
            }
        }
        Ok(0)
    }
}

impl Connection {
    /// Writes all of `bytes`. A slow client has all the time it needs; if its system takes nothing for
    /// too long, the error is `TimedOut`. Dropped before, it has written some of it.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match timeout(self.idle, (&self.stream).write(bytes)).await?? {
                0 => return Err(WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Says good-bye: no more will be written. Waits until the client has said so too, or for two
    /// seconds. To drop a connection in which something is unread is to reset it, and with that goes
    /// whatever the client has not read yet.
    pub async fn close(&self) -> io::Result<()> {
        (&self.stream).close().await?;
        let mut rest = [0; 512];
        let heard_out = async {
            while (&self.stream).read(&mut rest).await? > 0 {}
            Ok(())
        };
        timeout(FAREWELL, heard_out).await.unwrap_or(Ok(()))
    }
}

impl<H> Server<H> {
    /// Closes the listener, tells the connections, and waits for them as long as the grace lasts. Then
    /// the rest are cut. Each connection has a clone of `alive`, and nobody sends: `all_gone` is over
    /// when they are gone, and ours too.
    async fn end(
        &self,
        listener: TcpListener,
        alive: Sender<()>,
        mut all_gone: Receiver<()>,
    ) -> Result<(), Elapsed> {
        todo!("15.3: nobody comes in any more; tell those who are in, and wait for them; then cut")
    }
}

impl Connection {
    /// A connection that no server has accepted, as a test may need it: with `peer`, which may get
    /// nowhere for `idle`, and has no more to say when `ending` is cancelled.
    pub fn new(stream: TcpStream, peer: SocketAddr, idle: Duration, ending: CancelToken) -> Self {
        Connection { stream, peer, idle, ending }
    }

    /// The address of the client.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The socket, without any limits.
    pub fn into_inner(self) -> TcpStream {
        self.stream
    }
}

pub mod resp {
    //! # Layer 15, second part · RESP
    //!
    //! The protocol of Redis: a request is an array of words, and every word says how long it is. So one
    //! that is cut anywhere on its way can be put together again.

    use std::fmt::Display;
    use std::io::Write;
    use std::mem;

    /// How many bytes a request may have.
    const LARGEST: usize = 16 << 20;
    /// How many words a request may have. Redis has the same number.
    const MOST_WORDS: i64 = 1 << 20;
    /// How many bytes a line may have. Redis has the same number.
    const LONGEST_LINE: usize = 64 * 1024;

    /// A request: the name of a command and what it is about, words of any bytes.
    pub type Request = Vec<Vec<u8>>;

    /// What is wrong with what a client sent. Where its next request begins, nobody knows.
    pub type Violation = &'static str;

    /// Makes requests of bytes, however they were cut on their way.
    #[derive(Debug, Default)]
    pub struct Parser {
        /// What has come, of which the first `used` bytes are done with.
        bytes: Vec<u8>,
        /// How many that are.
        used: usize,
        /// The words of the request that is under way.
        words: Request,
        /// How many words are to follow.
        missing: i64,
        /// How many bytes those may have.
        room: usize,
    }

    impl Parser {
        /// The next request, if all of it has come. After a violation there is none that makes sense.
        pub fn next_request(&mut self) -> Result<Option<Request>, Violation> {
            todo!("15.4: how many words there are, and then each; begin where it stopped")
        }
    }

    /// The words of a request that somebody has typed: they stand in the line itself.
    fn typed(line: &[u8]) -> Request {
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.map(<[u8]>::to_vec).collect()
    }

    impl Parser {
        /// Adds what has come.
        pub fn push(&mut self, bytes: &[u8]) {
            self.forget();
            self.bytes.extend_from_slice(bytes);
        }

        /// Drops what is done with. One large request does not make its client large for good.
        fn forget(&mut self) {
            self.bytes.drain(..mem::take(&mut self.used));
            if self.bytes.is_empty() {
                self.bytes.shrink_to(LONGEST_LINE);
            }
        }

        /// The next line, if all of it has come, without its end.
        fn line(&mut self) -> Result<Option<&[u8]>, Violation> {
            if self.used == self.bytes.len() {
                self.forget();
            }
            let rest = &self.bytes[self.used..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(rest.len()) > LONGEST_LINE {
                return Err("too big inline request");
            }
            let Some(length) = end else { return Ok(None) };
            self.used += length + 1;
            Ok(Some(rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length])))
        }

        /// The next word, if all of it has come.
        fn word(&mut self) -> Result<Option<Vec<u8>>, Violation> {
            let (start, room) = (self.used, self.room);
            let Some(line) = self.line()? else { return Ok(None) };
            let length = line.strip_prefix(b"$").ok_or("expected '$'")?;
            let length = integer(length).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|length| *length <= room).ok_or("invalid bulk length")?;
            let end = self.used + length;
            if self.bytes.len() < end + 2 {
                self.used = start;
                return Ok(None);
            }
            let word = self.bytes[self.used..end].to_vec();
            (self.used, self.room) = (end + 2, room - length);
            Ok(Some(word))
        }
    }

    /// The number that stands in `text`, if that is how one is written.
    pub fn integer(text: &[u8]) -> Option<i64> {
        let odd = matches!(text, [b'+', ..] | [b'0', _, ..] | [b'-', b'0', ..]);
        if odd { None } else { str::from_utf8(text).ok()?.parse().ok() }
    }

    /// What a client is told.
    #[derive(Debug)]
    pub enum Reply<'a> {
        /// A word of ours.
        Simple(&'static str),
        /// What is wrong with the request.
        Error(&'static str),
        /// A number.
        Integer(i64),
        /// Any bytes; `None`, where there are none.
        Bulk(Option<&'a [u8]>),
        /// Several at once.
        Array(Vec<Reply<'a>>),
        /// Several, one after the other, as they are sent.
        Bytes(Vec<u8>),
    }

    impl Reply<'_> {
        /// A number of things.
        pub fn count(number: usize) -> Self {
            Reply::Integer(number as i64)
        }

        /// Adds it to `out`, in the bytes of the protocol.
        pub fn write(&self, out: &mut Vec<u8>) {
            match self {
                Reply::Simple(text) => line(out, '+', text),
                Reply::Error(text) => line(out, '-', format_args!("ERR {text}")),
                Reply::Integer(number) => line(out, ':', number),
                Reply::Bulk(None) => line(out, '$', -1),
                Reply::Bulk(Some(bytes)) => {
                    line(out, '$', bytes.len());
                    out.extend_from_slice(bytes);
                    out.extend_from_slice(b"\r\n");
                }
                Reply::Array(replies) => {
                    line(out, '*', replies.len());
                    replies.iter().for_each(|reply| reply.write(out));
                }
                Reply::Bytes(bytes) => out.extend_from_slice(bytes),
            }
        }
    }

    /// Adds a line to `out`, of the kind that its first byte says.
    fn line(out: &mut Vec<u8>, kind: char, text: impl Display) {
        write!(out, "{kind}{text}\r\n").expect("memory can be written to");
    }
}

pub mod hub {
    //! # Layer 15, third part · a hub
    //!
    //! Channels of messages, as Redis has them: who publishes does not wait, and every subscriber has a
    //! mailbox with room for so many. One that has no room left is let go.

    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::rc::Rc;

    use under_await::ch14_sync::Sender;
    use super::resp::Reply;

    /// Who has subscribed to what.
    #[derive(Debug, Default)]
    pub struct Hub {
        /// The clients. One that is too slow is none any more.
        clients: BTreeMap<u64, Subscriber>,
        /// Which of them listen to a channel.
        channels: HashMap<Vec<u8>, BTreeSet<u64>>,
        /// The number that was given out last.
        latest: u64,
    }

    /// A client, as far as it may subscribe.
    #[derive(Debug)]
    struct Subscriber {
        /// Where its messages go.
        mailbox: Sender<Rc<[u8]>>,
        /// What it listens to.
        channels: BTreeSet<Vec<u8>>,
    }

    impl Hub {
        /// `PUBLISH channel message`
        pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> Reply<'static> {
            let mut bytes = Vec::new();
            let words = [b"message", channel, message].map(|word| Reply::Bulk(Some(word)));
            Reply::Array(words.into()).write(&mut bytes);
            todo!("15.5: into every mailbox; whoever has no room is let go; how many have it now")
        }
    }

    impl Hub {
        /// Gives a client its number.
        pub fn enter(&mut self, mailbox: Sender<Rc<[u8]>>) -> u64 {
            self.latest += 1;
            self.clients.insert(self.latest, Subscriber { mailbox, channels: BTreeSet::new() });
            self.latest
        }

        /// The client `id` is gone, or has to go: its mailbox ends.
        pub fn leave(&mut self, id: u64) {
            let Some(client) = self.clients.remove(&id) else { return };
            client.channels.iter().for_each(|channel| self.quit(id, channel));
        }

        /// `id` does not listen to `channel` any more.
        fn quit(&mut self, id: u64, channel: &[u8]) {
            let Some(listening) = self.channels.get_mut(channel) else { return };
            listening.remove(&id);
            if listening.is_empty() {
                self.channels.remove(channel);
            }
        }

        /// Whether the client `id` listens to anything.
        pub fn listens(&self, id: u64) -> bool {
            self.clients.get(&id).is_some_and(|client| !client.channels.is_empty())
        }

        /// `SUBSCRIBE channel …`
        pub fn subscribe(&mut self, id: u64, channels: &[Vec<u8>]) -> Reply<'static> {
            let mut told = Vec::new();
            for channel in channels {
                // It may have to go, and have asked for more before it heard of that.
                let Some(client) = self.clients.get_mut(&id) else { break };
                client.channels.insert(channel.clone());
                self.channels.entry(channel.clone()).or_default().insert(id);
                tell(&mut told, "subscribe", Some(channel), client.channels.len());
            }
            Reply::Bytes(told)
        }

        /// `UNSUBSCRIBE [channel …]`: without any, from all.
        pub fn unsubscribe(&mut self, id: u64, channels: &[Vec<u8>]) -> Reply<'static> {
            let Some(client) = self.clients.get_mut(&id) else { return Reply::Bytes(vec![]) };
            let all = client.channels.iter().cloned().collect::<Vec<_>>();
            let channels = if channels.is_empty() { &*all } else { channels };
            let mut told = Vec::new();
            for channel in channels {
                client.channels.remove(channel);
                tell(&mut told, "unsubscribe", Some(channel), client.channels.len());
            }
            if channels.is_empty() {
                tell(&mut told, "unsubscribe", None, 0);
            }
            channels.iter().for_each(|channel| self.quit(id, channel));
            Reply::Bytes(told)
        }
    }

    /// Adds what a client is told of a change in what it listens to.
    fn tell(told: &mut Vec<u8>, change: &str, channel: Option<&[u8]>, left: usize) {
        let words = [Reply::Bulk(Some(change.as_bytes())), Reply::Bulk(channel), Reply::count(left)];
        Reply::Array(words.into()).write(told);
    }
}

pub mod redis {
    //! # Layer 15, fourth part · a Redis
    //!
    //! Enough of one for `redis-cli` and `redis-benchmark`: a few commands, on the protocol and the hub of
    //! the parts before. What its clients share needs no lock: it has one thread.

    use std::cell::RefCell;
    use std::collections::{BTreeSet, HashMap};
    use std::io;
    use std::io::ErrorKind::{ConnectionAborted, InvalidData, TimedOut};
    use std::mem;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use under_await::ch13_race::{on_drop, select};
    use under_await::ch14_sync::{Receiver, channel};
    use super::Connection;
    use super::hub::Hub;
    use super::resp::{Parser, Reply, Violation, integer};

    /// How many bytes of replies there are when they are sent, though more requests are there.
    const ENOUGH: usize = 16 * 1024;
    /// How many messages may wait for a subscriber.
    const MAILBOX: usize = 1_000;

    /// Talks to a client until it goes: the handler for [`serve`](crate::ch15_serve::serve). It fails when
    /// the connection does, when what it is sent is no RESP, and when the client does not take the messages
    /// that it has subscribed to.
    pub async fn talk(client: Connection, db: Rc<RefCell<Db>>) -> io::Result<()> {
        let (mailbox, mail) = channel(MAILBOX);
        let id = db.borrow_mut().hub.enter(mailbox);
        let _leave = on_drop(|| db.borrow_mut().hub.leave(id));
        let (parser, replies) = (Parser::default(), Vec::new());
        let mut session = Session { client, id, db: db.clone(), mail, parser, replies };
        let end = session.converse().await;
        session.client.close().await.and(end)
    }

    /// What is said to a client, and by it.
    struct Session {
        /// Its connection.
        client: Connection,
        /// Its number.
        id: u64,
        /// What it shares with the others. No borrow of it lasts beyond an `.await`.
        db: Rc<RefCell<Db>>,
        /// The messages of the channels that it has subscribed to.
        mail: Receiver<Rc<[u8]>>,
        /// What it says.
        parser: Parser,
        /// What it is to be told.
        replies: Vec<u8>,
    }

    impl Session {
        /// Answers requests, and delivers messages, whichever comes first.
        async fn converse(&mut self) -> io::Result<()> {
            let mut buffer = [0; 4096];
            loop {
                select! {
                    count = self.client.read(&mut buffer) => match count {
                        Ok(0) => return self.end().await,
                        Ok(count) => self.parser.push(&buffer[..count]),
                        Err(error) if error.kind() == TimedOut && self.listens() => {}
                        Err(error) => return Err(error),
                    },
                    message = self.mail.recv() => {
                        self.replies.extend_from_slice(&message.ok_or(ConnectionAborted)?);
                    }
                }
                self.answer().await?;
            }
        }
    }

    impl Session {
        /// Answers all requests that have come. The next are read when the client has taken the replies.
        async fn answer(&mut self) -> io::Result<()> {
            loop {
                // They came first: after the reply to an UNSUBSCRIBE there is no message.
                self.deliver();
                match self.parser.next_request() {
                    Ok(Some(request)) => {
                        self.db.borrow_mut().execute(self.id, &request).write(&mut self.replies);
                    }
                    Ok(None) => return self.send(0).await,
                    Err(violation) => return self.refuse(violation).await,
                }
                self.send(ENOUGH).await?;
            }
        }
    }

    impl Session {
        /// Adds the messages that have come to what it is to be told. All at once: if it waited in
        /// between, others would come, and a client that hears many would never be heard.
        fn deliver(&mut self) {
            while let Ok(message) = self.mail.try_recv() {
                self.replies.extend_from_slice(&message);
            }
        }

        /// Sends what there is to be told, if it is so many bytes.
        async fn send(&mut self, enough: usize) -> io::Result<()> {
            if self.replies.len() < enough {
                return Ok(());
            }
            self.client.write_all(&mem::take(&mut self.replies)).await
        }

        /// Says what is wrong, and that is the end.
        async fn refuse(&mut self, violation: Violation) -> io::Result<()> {
            Reply::Error(violation).write(&mut self.replies);
            self.send(0).await?;
            Err(io::Error::new(InvalidData, violation))
        }

        /// Delivers the last messages. Nobody is told any more that this client has got one.
        async fn end(&mut self) -> io::Result<()> {
            if self.listens() {
                self.db.borrow_mut().hub.leave(self.id);
            }
            self.deliver();
            self.send(0).await
        }

        /// Whether it has subscribed to anything, and need not say anything.
        fn listens(&self) -> bool {
            self.db.borrow().hub.listens(self.id)
        }
    }

    /// What the clients share.
    #[derive(Debug, Default)]
    pub struct Db {
        /// The values, each under its key.
        entries: HashMap<Vec<u8>, Entry>,
        /// When which keys are over; the first of them is the first here.
        deadlines: BTreeSet<(Instant, Vec<u8>)>,
        /// Who has subscribed to what.
        hub: Hub,
    }

    /// What stands under a key.
    #[derive(Debug)]
    struct Entry {
        /// Its bytes.
        value: Vec<u8>,
        /// When it is over, if ever.
        deadline: Option<Instant>,
    }

    /// What a command comes to, or why it cannot be done.
    type Outcome<'a> = Result<Reply<'a>, &'static str>;

    /// What is said of a word that is to be a number.
    const NO_INTEGER: &str = "value is not an integer or out of range";

    impl Db {
        /// Does what a request of the client `id` says.
        pub fn execute<'a>(&'a mut self, id: u64, request: &'a [Vec<u8>]) -> Reply<'a> {
            self.remove_expired();
            let Some((name, words)) = request.split_first() else { return Reply::Bytes(vec![]) };
            let outcome = match (&*name.to_ascii_uppercase(), words) {
                (b"PING", []) => Ok(Reply::Simple("PONG")),
                (b"PING" | b"ECHO", [message]) => Ok(Reply::Bulk(Some(message))),
                (b"GET", [key]) => Ok(self.get(key)),
                (b"MGET", [_, ..]) => Ok(Reply::Array(words.iter().map(|key| self.get(key)).collect())),
                (b"SET", [key, value, options @ ..]) => self.set(key, value, options),
                (b"DEL", [_, ..]) => Ok(self.delete(words)),
                (b"INCR", [key]) => self.increment(key),
                (b"EXPIRE", [key, seconds]) => self.expire(key, seconds),
                (b"TTL", [key]) => Ok(self.seconds_left(key)),
                (b"PUBLISH", [channel, message]) => Ok(self.hub.publish(channel, message)),
                (b"SUBSCRIBE", [_, ..]) => Ok(self.hub.subscribe(id, words)),
                (b"UNSUBSCRIBE", _) => Ok(self.hub.unsubscribe(id, words)),
                _ => Err("unknown command, or wrong number of arguments"),
            };
            outcome.unwrap_or_else(Reply::Error)
        }
    }

    impl Db {
        /// `GET key`
        fn get(&self, key: &[u8]) -> Reply<'_> {
            Reply::Bulk(self.entries.get(key).map(|entry| &*entry.value))
        }

        /// `SET key value [NX] [EX seconds | PX milliseconds]`
        fn set<'a>(&mut self, key: &[u8], value: &[u8], mut options: &[Vec<u8>]) -> Outcome<'a> {
            let (mut deadline, mut only_new) = (None, false);
            while let [option, rest @ ..] = options {
                match (&*option.to_ascii_uppercase(), rest) {
                    (b"NX", _) => (only_new, options) = (true, rest),
                    (unit @ (b"EX" | b"PX"), [time, rest @ ..]) if deadline.is_none() => {
                        let milliseconds = if unit == b"EX" { 1000 } else { 1 };
                        (deadline, options) = (Some(after(time, milliseconds)?), rest);
                    }
                    _ => return Err("syntax error"),
                }
            }
            if only_new && self.entries.contains_key(key) {
                return Ok(Reply::Bulk(None));
            }
            self.insert(key, value.to_vec(), deadline);
            Ok(Reply::Simple("OK"))
        }

        /// `DEL key …`
        fn delete(&mut self, keys: &[Vec<u8>]) -> Reply<'static> {
            Reply::count(keys.iter().filter(|key| self.remove(key).is_some()).count())
        }

        /// `INCR key`
        fn increment<'a>(&mut self, key: &[u8]) -> Outcome<'a> {
            let (number, deadline) = match self.entries.get(key) {
                Some(entry) => (integer(&entry.value).ok_or(NO_INTEGER)?, entry.deadline),
                None => (0, None),
            };
            let number = number.checked_add(1).ok_or("increment or decrement would overflow")?;
            self.insert(key, number.to_string().into(), deadline);
            Ok(Reply::Integer(number))
        }

        /// `EXPIRE key seconds`
        fn expire<'a>(&mut self, key: &[u8], seconds: &[u8]) -> Outcome<'a> {
            let over = integer(seconds).ok_or(NO_INTEGER)? <= 0;
            let deadline = if over { None } else { Some(after(seconds, 1000)?) };
            let Some(entry) = self.remove(key) else { return Ok(Reply::Integer(0)) };
            if !over {
                self.insert(key, entry.value, deadline);
            }
            Ok(Reply::Integer(1))
        }

        /// `TTL key`: to the nearest second; -1 for ever, -2 for a key that is not there.
        fn seconds_left(&self, key: &[u8]) -> Reply<'static> {
            let left = self.entries.get(key).map(|entry| entry.deadline);
            Reply::Integer(match left {
                None => -2,
                Some(None) => -1,
                Some(Some(deadline)) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    (left + Duration::from_millis(500)).as_secs() as i64
                }
            })
        }

        /// Puts `value` under `key`, in place of what stood there.
        fn insert(&mut self, key: &[u8], value: Vec<u8>, deadline: Option<Instant>) {
            self.remove(key);
            self.deadlines.extend(deadline.map(|deadline| (deadline, key.to_vec())));
            self.entries.insert(key.to_vec(), Entry { value, deadline });
        }

        /// Removes `key`, and returns what stood there.
        fn remove(&mut self, key: &[u8]) -> Option<Entry> {
            let (key, entry) = self.entries.remove_entry(key)?;
            if let Some(deadline) = entry.deadline {
                self.deadlines.remove(&(deadline, key));
            }
            Some(entry)
        }

        /// Removes the keys that are over. It is done before each command, so none ever sees one.
        fn remove_expired(&mut self) {
            while let Some((deadline, _)) = self.deadlines.first()
                && *deadline <= Instant::now()
            {
                let (_, key) = self.deadlines.pop_first().expect("the first is there");
                self.entries.remove(&key);
            }
        }
    }

    /// The moment that is `number` times so many milliseconds from now.
    fn after(number: &[u8], milliseconds: u64) -> Result<Instant, &'static str> {
        let number = u64::try_from(integer(number).ok_or(NO_INTEGER)?).ok();
        let time =
            number.filter(|number| *number > 0).and_then(|number| number.checked_mul(milliseconds));
        let moment = time.and_then(|time| Instant::now().checked_add(Duration::from_millis(time)));
        moment.ok_or("invalid expire time")
    }
}

/// What the chapter does not show.
pub mod extend {
    // What chapter 15 asks beyond its layer.

    use std::io;
    use std::io::ErrorKind::InvalidData;
    use std::time::Duration;

    use under_await::ch09_timer::timeout;
    use under_await::ch10_net::TcpStream;
    use under_await::ch12_join::try_join;
    use under_await::ch13_race::CancelToken;
    use under_await::ch14_sync::{channel, unbounded};

    // The checks name it, too.
    pub use super::Connection;

    /// How many bytes a line may have, without its end.
    pub const LONGEST: usize = 1024;
    /// How long a line may take.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// A connection that no server has accepted, for the checks.
    pub fn connection(stream: TcpStream, idle: Duration) -> Connection {
        let peer = stream.peer_addr().expect("it is connected");
        Connection::new(stream, peer, idle, CancelToken::new())
    }

    /// Reads a line, and returns it without its `\n`. All of it has to come within `limit`, or the error
    /// is `TimedOut`. If it has more bytes than [`LONGEST`], the error is `InvalidData`. When the client
    /// has nothing more to say, or the server ends, it is `None`, whether or not a line had begun.
    ///
    /// `rest` is for what was read and not returned yet: of this line, or of those that follow. Cancel
    /// safe, if it is called with the same `rest` again.
    pub async fn read_line(
        connection: &Connection,
        rest: &mut Vec<u8>,
        limit: Duration,
    ) -> io::Result<Option<Vec<u8>>> {
        todo!("15.6: read into rest until a line is there, all of it within one limit")
    }

    /// Answers every line of a client with what `answer` makes of it, in the order of the lines, until
    /// the client has nothing more to say. While the client does not take its answers, at most 16 of them
    /// wait for it, however much it sends.
    pub async fn answer_lines(
        connection: &Connection,
        answer: impl Fn(&[u8]) -> Vec<u8>,
    ) -> io::Result<()> {
        todo!("15.7: what `answer_lines_hastily` below is meant to do, in bounded memory")
    }

    /// The version to mend. It does not let its reading wait for its writing.
    pub async fn answer_lines_hastily(
        connection: &Connection,
        answer: impl Fn(&[u8]) -> Vec<u8>,
    ) -> io::Result<()> {
        let (answers, mut waiting) = unbounded();
        let reading = async move {
            let mut rest = Vec::new();
            while let Some(line) = read_line(connection, &mut rest, PATIENCE).await? {
                // It cannot fail: the other future has the receiver, and both end together.
                let _ = answers.send(answer(&line));
            }
            Ok(())
        };
        let writing = async {
            while let Some(bytes) = waiting.recv().await {
                connection.write_all(&bytes).await?;
            }
            Ok(())
        };
        try_join!(reading, writing).map(drop)
    }
}
