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

#![forbid(unsafe_code)]

use std::io;
use std::io::ErrorKind::{TimedOut, WriteZero};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::budget::Budget;
use crate::ch01_future::{poll_once, yield_now};
use crate::ch09_timer::{Elapsed, sleep, timeout};
use crate::ch10_net::{TcpListener, TcpStream};
use crate::ch11_task::spawn;
use crate::ch13_race::{CancelToken, on_drop, race, select};
use crate::ch14_sync::{Receiver, Semaphore, Sender, channel};

/// Accepts connections, and runs `handler` for each, in a task of its own, until `shutdown` is ready.
/// Then nobody is accepted any more, and each [`Connection`] comes to its end: when all that has
/// arrived is read, a read gives 0 bytes. What is not over after the grace of `limits` is dropped, and
/// the answer is an error.
///
/// Dropped before, it drops its handlers too, each when its turn comes. A handler that panics ends
/// its own connection only.
// ANCHOR: serve
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
// ANCHOR_END: serve

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

// ANCHOR: accept_all
impl<H, F> Server<H>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
{
    /// Accepts whoever comes, as long as there is room, and never ends.
    async fn accept_all(self: Rc<Self>, listener: &TcpListener, alive: &Sender<()>) {
        // ANCHOR: todo_15_1 first a permit, then a client, and a task for it; after an error, a pause
        loop {
            let permit = self.room.acquire().await.expect("the room is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    permit.forget();
                    spawn(self.clone().run(stream, peer, alive.clone()));
                }
                // Mostly there are too many open files. Somebody has to go first, and that takes time.
                Err(_) => sleep(PAUSE).await,
            }
        }
        // ANCHOR_END: todo_15_1
    }
}
// ANCHOR_END: accept_all

// ANCHOR: run
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
// ANCHOR_END: run

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

// ANCHOR: read
impl Connection {
    /// Reads into `buffer`. It gives 0 bytes when the client has nothing more to say, and when there
    /// is nothing to read and the server ends. If nothing comes for too long, the error is `TimedOut`.
    /// Cancel safe.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // ANCHOR: todo_15_2 read; or, when the server ends, read what is left; or lose patience
        select! {
            biased;
            count = (&self.stream).read(buffer) => count,
            () = self.ending.cancelled() => self.read_what_is_left(buffer).await,
            () = sleep(self.idle) => Err(TimedOut.into()),
        }
        // ANCHOR_END: todo_15_2
    }
}
// ANCHOR_END: read

// ANCHOR: read_what_is_left
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
// ANCHOR_END: read_what_is_left

// ANCHOR: write_all
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
// ANCHOR_END: write_all

// ANCHOR: close
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
// ANCHOR_END: close

// ANCHOR: end
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
        // ANCHOR: todo_15_3 nobody comes in any more; tell those who are in, and wait for them; then cut
        drop((listener, alive));
        self.ending.cancel();
        let end = timeout(self.limits.grace, all_gone.recv()).await;
        self.cut.cancel();
        all_gone.recv().await;
        end.map(drop)
        // ANCHOR_END: todo_15_3
    }
}
// ANCHOR_END: end

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

pub mod resp;

pub mod hub;

pub mod redis;
