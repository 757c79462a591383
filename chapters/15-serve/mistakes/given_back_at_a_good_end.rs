// [not-given-back] one_that_goes_wrong_goes_alone
//
// The permit is given back when the handler is over. One that panics is not over, it is gone: the line after it
// does not run, and there is room for one less.

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
