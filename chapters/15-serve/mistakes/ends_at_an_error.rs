// [goes-down] too_many_open_files
//
// Goes on as long as accept(2) succeeds. A moment without a free descriptor ends the server, and nobody is
// there when they are free again.

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
        loop {
            room.acquire().await.unwrap().forget();
            let Ok((stream, peer)) = listener.accept().await else { return };
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
