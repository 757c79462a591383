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

use crate::ch13_race::{on_drop, select};
use crate::ch14_sync::{Receiver, channel};
use crate::ch15_serve::Connection;
use crate::ch15_serve::hub::Hub;
use crate::ch15_serve::resp::{Parser, Reply, Violation, integer};

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

// ANCHOR: converse
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
// ANCHOR_END: converse

// ANCHOR: answer
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
// ANCHOR_END: answer

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
