//! A client of a Redis, for a thread that runs the server as well. Its calls are std's, of which the
//! ledger hears nothing: what stands there is the server's.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use futures::FutureExt;
use under_await::ch08_poll::Direction;
use under_await::ch10_net::Async;

/// A connection to the server.
pub(crate) struct Client {
    /// Its socket.
    stream: Async<TcpStream>,
    /// What has come, and was not looked at yet.
    bytes: Vec<u8>,
}

impl Client {
    /// Connects. On one machine the system does that on its own, whatever the server is doing.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: Async::new(stream)?, bytes: Vec::new() })
    }

    /// Sends a command, and waits for its reply.
    pub(crate) async fn ask(&mut self, command: &str) -> io::Result<String> {
        self.send(&[command]).await?;
        self.hear().await
    }

    /// Sends commands, all of them in one write.
    pub(crate) async fn send(&self, commands: &[&str]) -> io::Result<()> {
        let bytes = commands.iter().map(|command| request(command)).collect::<String>();
        let mut rest = bytes.as_bytes();
        while !rest.is_empty() {
            let write = |mut stream: &TcpStream| stream.write(rest);
            let count = poll_fn(|cx| self.stream.poll_io(Direction::Write, cx, write)).await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// The next reply as people read it, or the news that there is none.
    pub(crate) async fn hear(&mut self) -> io::Result<String> {
        Ok(self.reply().await?.unwrap_or_else(|| "the end".to_owned()))
    }

    /// The next reply as people read it; `None` at the end of the connection.
    pub(crate) async fn reply(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some((text, length)) = first_reply(&self.bytes) {
                self.bytes.drain(..length);
                return Ok(Some(text));
            }
            if self.receive().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Waits for bytes, and says how many have come: 0 at the end of the connection.
    async fn receive(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let mut read = |mut stream: &TcpStream| stream.read(&mut buffer);
        let count = poll_fn(|cx| self.stream.poll_io(Direction::Read, cx, &mut read)).await?;
        self.bytes.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// How many bytes have come by now. They are thrown away.
    pub(crate) fn discard(&mut self) -> usize {
        let mut discarded = 0;
        while let Some(Ok(1..)) = self.receive().now_or_never() {
            discarded += self.bytes.len();
            self.bytes.clear();
        }
        discarded
    }
}

/// The bytes of a command: how many words, and of each how long it is.
fn request(command: &str) -> String {
    let words = command.split_whitespace().collect::<Vec<_>>();
    let head = format!("*{}\r\n", words.len());
    let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    head + &words.iter().map(word).collect::<String>()
}

/// The reply at the head of `bytes`, and how long it is; `None` if not all of it is there.
fn first_reply(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(2).position(|end| end == b"\r\n")?;
    let (line, mut length) = (str::from_utf8(&bytes[1..end]).ok()?, end + 2);
    let text = match bytes[0] {
        b'$' => {
            let word = bytes.get(length..length + line.parse::<usize>().ok()? + 2)?;
            length += word.len();
            String::from_utf8_lossy(&word[..word.len() - 2]).into_owned()
        }
        b'*' => {
            let mut texts = Vec::new();
            for _ in 0..line.parse().ok()? {
                let (text, more) = first_reply(&bytes[length..])?;
                texts.push(text);
                length += more;
            }
            texts.join(" ")
        }
        _ => line.to_owned(),
    };
    Some((text, length))
}
