// [no-limit] a_client_waits_outside_until_there_is_room
//
// Accepts a client, and then waits for a permit for it. That one has a socket and a place in memory, and nobody
// to serve it. Had it been left outside, another process could have accepted it.

use std::rc::Rc;

use under_await::ch09_timer::Elapsed;
use under_await::ch10_net::TcpListener;
use under_await::ch11_task::spawn;
use under_await::ch13_race::{CancelToken, race};
use under_await::ch14_sync::Semaphore;

pub async fn serve<H, F, S>(listener: TcpListener, limits: Limits, handler: H, shutdown: S) -> Result<(), Elapsed>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
    S: IntoFuture,
{
    let (room, handler) = (Rc::new(Semaphore::new(limits.connections)), Rc::new(handler));
    let accept_all = async {
        while let Ok((stream, peer)) = listener.accept().await {
            room.acquire().await.unwrap().forget();
            let (room, handler) = (room.clone(), handler.clone());
            spawn(async move {
                handler(Connection::new(stream, peer, limits.idle, CancelToken::new())).await;
                room.add_permits(1);
            });
        }
    };
    race(shutdown, accept_all).await;
    Ok(())
}
