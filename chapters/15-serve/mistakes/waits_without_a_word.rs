// [never-woken] who_is_there_is_heard_out
//
// Waits for the connections, and has told them nothing. A client that has no reason to go stays as long as it may.

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
    drop((listener, alive));
    let end = timeout(limits.grace, all_gone.recv()).await;
    ending.cancel();
    end.map(drop)
}
