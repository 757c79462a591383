// [not-given-back] too_many_open_files
//
// Takes the permit for good before it knows whether somebody comes. An error has no connection that would give
// it back: with each of them there is room for one less.

use std::rc::Rc;
use std::time::Duration;

use under_await::ch09_timer::{Elapsed, sleep};
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
            let Ok((stream, peer)) = listener.accept().await else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
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
