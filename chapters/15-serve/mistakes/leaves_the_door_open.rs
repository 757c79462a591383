// [cut-short] nobody_comes_in_any_more
//
// Does not accept any more, and keeps the listener until the others are done. The kernel goes on letting clients in:
// they are connected, send what they want, and hear nothing until the server is gone.

use std::rc::Rc;

use under_await::ch09_timer::{Elapsed, timeout};
use under_await::ch10_net::TcpListener;
use under_await::ch11_task::spawn;
use under_await::ch13_race::{CancelToken, race};
use under_await::ch14_sync::channel;

pub async fn serve<H, F, S>(listener: TcpListener, limits: Limits, handler: H, shutdown: S) -> Result<(), Elapsed>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
    S: IntoFuture,
{
    let (ending, handler, (alive, mut all_gone)) = (CancelToken::new(), Rc::new(handler), channel::<()>(1));
    let accept_all = async {
        while let Ok((stream, peer)) = listener.accept().await {
            let connection = Connection::new(stream, peer, limits.idle, ending.clone());
            let (handler, alive) = (handler.clone(), alive.clone());
            spawn(async move {
                handler(connection).await;
                drop(alive);
            });
        }
    };
    race(shutdown, accept_all).await;
    drop(alive);
    ending.cancel();
    let end = timeout(limits.grace, all_gone.recv()).await;
    drop(listener);
    end.map(drop)
}
