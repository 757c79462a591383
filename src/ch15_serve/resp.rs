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

// ANCHOR: Parser
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
// ANCHOR_END: Parser

// ANCHOR: next_request
impl Parser {
    /// The next request, if all of it has come. After a violation there is none that makes sense.
    pub fn next_request(&mut self) -> Result<Option<Request>, Violation> {
        // ANCHOR: todo_15_4 how many words there are, and then each; begin where it stopped
        while self.missing <= 0 {
            let Some(line) = self.line()? else { return Ok(None) };
            let Some(count) = line.strip_prefix(b"*") else {
                self.words = typed(line);
                break;
            };
            let count = integer(count).filter(|count| *count <= MOST_WORDS);
            (self.missing, self.room) = (count.ok_or("invalid multibulk length")?, LARGEST);
        }
        while self.missing > 0 {
            let Some(word) = self.word()? else { return Ok(None) };
            self.words.push(word);
            self.missing -= 1;
        }
        Ok(Some(mem::take(&mut self.words)))
        // ANCHOR_END: todo_15_4
    }
}
// ANCHOR_END: next_request

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
