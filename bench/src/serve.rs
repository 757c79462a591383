//! A Redis: what a request costs the server's thread, limits and all.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listening};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use cpu_time::ThreadTime;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;
use under_await::ch15_serve::redis::{Db, talk};
use under_await::ch15_serve::resp::Parser;
use under_await::net::{TcpListener, TcpStream};
use under_await::server::{Limits, serve};
use under_await::sync::oneshot;

use crate::table::{compare, told};

/// How many clients there are.
const CLIENTS: usize = 50;
/// What each asks for.
const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$3\r\ntea\r\n";
/// And is told.
const REPLY: &[u8] = b"$-1\r\n";

pub(crate) fn measure() {
    for at_once in [1, 16] {
        compare(
            &format!("Redis GET by {CLIENTS} clients, {at_once} in a write (layer 15)"),
            "ns of the server's CPU per request",
            40_000,
            vec![
                told("under_await", |n| served(n, at_once, ours)),
                told("tokio, LocalSet", |n| served(n, at_once, tokios)),
            ],
        );
    }
}

/// The CPU time of a server that answers `n` requests in all. It ends when it is told to.
fn served(n: u64, at_once: usize, server: fn(Listening, oneshot::Receiver<()>)) -> Duration {
    let listening = Listening::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listening.local_addr().expect("an address");
    let (end, ending) = oneshot::channel();
    let server = thread::spawn(move || {
        let start = ThreadTime::now();
        server(listening, ending);
        start.elapsed()
    });
    let rounds = n as usize / CLIENTS / at_once;
    under_await::block_on(async {
        let clients = (0..CLIENTS).map(|_| under_await::spawn(client(address, at_once, rounds)));
        for client in clients.collect::<Vec<_>>() {
            client.await.expect("no panic").expect("the server is well-behaved");
        }
    });
    end.send(()).expect("the server waits for it");
    server.join().expect("no panic")
}

/// The client, the same for every server: it sends its requests when it has the last replies.
async fn client(address: SocketAddr, at_once: usize, rounds: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let (requests, mut replies) = (GET.repeat(at_once), REPLY.repeat(at_once));
    for _ in 0..rounds {
        stream.write_all(&requests).await?;
        stream.read_exact(&mut replies).await?;
    }
    Ok(())
}

fn ours(listening: Listening, ending: oneshot::Receiver<()>) {
    let db = Rc::new(RefCell::new(Db::default()));
    under_await::block_on(async {
        let listener = TcpListener::from_std(listening).expect("it can be watched");
        let talk = move |client| talk(client, db.clone());
        serve(listener, Limits::default(), talk, ending).await.expect("the clients have gone");
    });
}

/// The same protocol and the same data, on tokio, with the same limits for silence.
fn tokios(listening: Listening, ending: oneshot::Receiver<()>) {
    let db = Rc::new(RefCell::new(Db::default()));
    listening.set_nonblocking(true).expect("it can be set");
    LocalSet::new().block_on(&crate::tasks::tokio(), async {
        let listener = tokio::net::TcpListener::from_std(listening).expect("it can be watched");
        let accepting = async {
            loop {
                let (stream, _) = listener.accept().await.expect("the clients are well-behaved");
                stream.set_nodelay(true).expect("it can be set");
                tokio::task::spawn_local(tokios_talk(stream, db.clone()));
            }
        };
        tokio::select! {
            _ = ending => {}
            () = accepting => {}
        }
    });
}

async fn tokios_talk(mut stream: tokio::net::TcpStream, db: Rc<RefCell<Db>>) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let idle = Limits::default().idle;
    let (mut parser, mut buffer) = (Parser::default(), [0; 4096]);
    loop {
        match tokio::time::timeout(idle, stream.read(&mut buffer)).await?? {
            0 => return Ok(()),
            count => parser.push(&buffer[..count]),
        }
        let mut replies = Vec::new();
        while let Ok(Some(request)) = parser.next_request() {
            db.borrow_mut().execute(0, &request).write(&mut replies);
        }
        tokio::time::timeout(idle, stream.write_all(&replies)).await??;
    }
}
