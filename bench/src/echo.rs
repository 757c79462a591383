//! Echo: what a request costs the server's thread.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listening};
use std::thread;
use std::time::Duration;

use async_executor::LocalExecutor;
use async_io::Async;
use cpu_time::ThreadTime;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use under_await::net::{TcpListener, TcpStream};

use crate::table::{compare, told};

pub(crate) fn measure() {
    for connections in [1, 50] {
        compare(
            &format!("echo of 64 bytes, {connections} at a time (layers 10 and 11)"),
            "ns of the server's CPU per request",
            20_000,
            vec![
                told("under_await", |n| served(n, connections, ours)),
                told("tokio, current_thread", |n| served(n, connections, tokios)),
                told("smol, LocalExecutor", |n| served(n, connections, smols)),
            ],
        );
    }
}

/// The CPU time of a server that answers `n` requests in all.
fn served(n: u64, connections: usize, serve: fn(Listening, usize) -> io::Result<()>) -> Duration {
    let listening = Listening::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listening.local_addr().expect("an address");
    let server = thread::spawn(move || {
        let start = ThreadTime::now();
        serve(listening, connections).expect("the clients are well-behaved");
        start.elapsed()
    });
    clients(address, connections, n / connections as u64).expect("the server is well-behaved");
    server.join().expect("no panic")
}

/// The clients, the same for every server: each sends a request when it has the last answer.
fn clients(address: SocketAddr, connections: usize, requests: u64) -> io::Result<()> {
    under_await::block_on(async {
        let client = |_| {
            under_await::spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let mut answer = [0; 64];
                for i in 0..requests {
                    stream.write_all(&[i as u8; 64]).await?;
                    stream.read_exact(&mut answer).await?;
                }
                io::Result::Ok(())
            })
        };
        for client in (0..connections).map(client).collect::<Vec<_>>() {
            client.await.expect("no panic")?;
        }
        Ok(())
    })
}

fn ours(listening: Listening, connections: usize) -> io::Result<()> {
    under_await::block_on(async {
        let listener = TcpListener::from_std(listening)?;
        let mut echoes = Vec::new();
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            echoes.push(under_await::spawn(async move {
                let mut bytes = [0; 4096];
                loop {
                    match stream.read(&mut bytes).await? {
                        0 => return io::Result::Ok(()),
                        n => stream.write_all(&bytes[..n]).await?,
                    }
                }
            }));
        }
        for echo in echoes {
            echo.await.expect("no panic")?;
        }
        Ok(())
    })
}

fn tokios(listening: Listening, connections: usize) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    crate::tasks::tokio().block_on(async {
        listening.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listening)?;
        let mut echoes = Vec::new();
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            echoes.push(tokio::spawn(async move {
                let mut bytes = [0; 4096];
                loop {
                    match stream.read(&mut bytes).await? {
                        0 => return io::Result::Ok(()),
                        n => stream.write_all(&bytes[..n]).await?,
                    }
                }
            }));
        }
        for echo in echoes {
            echo.await.expect("no panic")?;
        }
        Ok(())
    })
}

fn smols(listening: Listening, connections: usize) -> io::Result<()> {
    let executor = LocalExecutor::new();
    async_io::block_on(executor.run(async {
        let listener = Async::new(listening)?;
        let mut echoes = Vec::new();
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            echoes.push(executor.spawn(async move {
                let mut bytes = [0; 4096];
                loop {
                    match stream.read(&mut bytes).await? {
                        0 => return io::Result::Ok(()),
                        n => stream.write_all(&bytes[..n]).await?,
                    }
                }
            }));
        }
        for echo in echoes {
            echo.await?;
        }
        Ok(())
    }))
}
