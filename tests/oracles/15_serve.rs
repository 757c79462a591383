// Other people's right answers: a server out of the streams of futures, which is one task with all of its
// connections in it, and answers that go through a channel of futures. The rest is the reference.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::future::{self, Either, FutureExt};
use futures::stream::{self, StreamExt};

use under_await::ch09_timer::{Elapsed, sleep};
use under_await::ch10_net::TcpListener;
use under_await::ch13_race::CancelToken;

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
    let ending = CancelToken::new();
    // Asked for a client only when there is room for one; gone, with the listener, at the shutdown.
    let clients = stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok(client) => return Some((client, listener)),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let shutdown = shutdown.into_future().map(|_| ending.cancel());
    let all = clients.take_until(shutdown).for_each_concurrent(limits.connections, |(stream, peer)| {
        let client = Connection::new(stream, peer, limits.idle, ending.clone());
        AssertUnwindSafe(async { drop(handler(client).await) }).catch_unwind().map(drop)
    });
    let grace = async {
        ending.cancelled().await;
        sleep(limits.grace).await;
    };
    match future::select(Box::pin(all), Box::pin(grace)).await {
        Either::Left(_) => Ok(()),
        Either::Right(_) => Err(Elapsed),
    }
}

pub mod extend {
    pub use super::super::super::reference::subject::extend::*;

    use std::io;

    use futures::channel::mpsc;
    use futures::{SinkExt, StreamExt};

    pub async fn answer_lines(
        connection: &Connection,
        answer: impl Fn(&[u8]) -> Vec<u8>,
    ) -> io::Result<()> {
        let (mut answers, mut waiting) = mpsc::channel(8);
        let reading = async move {
            let mut rest = Vec::new();
            while let Some(line) = read_line(connection, &mut rest, PATIENCE).await? {
                let _ = answers.send(answer(&line)).await;
            }
            Ok(())
        };
        let writing = async {
            while let Some(bytes) = waiting.next().await {
                connection.write_all(&bytes).await?;
            }
            Ok(())
        };
        futures::future::try_join(reading, writing).await.map(drop)
    }
}
