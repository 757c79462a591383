// [no-limit] a_client_waits_outside_until_there_is_room
//
// The permit is a variable of the loop, and is given back at the end of each turn. It is there to accept with, and
// not for as long as the connection lasts: any number of them are served at once.

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
    let (room, handler) = (Semaphore::new(limits.connections), Rc::new(handler));
    let accept_all = async {
        loop {
            let _permit = room.acquire().await.unwrap();
            let Ok((stream, peer)) = listener.accept().await else { return };
            let handler = handler.clone();
            spawn(async move {
                handler(Connection::new(stream, peer, limits.idle, CancelToken::new())).await;
            });
        }
    };
    race(shutdown, accept_all).await;
    Ok(())
}
