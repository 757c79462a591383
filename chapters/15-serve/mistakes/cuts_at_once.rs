// [cut-short] who_is_there_is_heard_out
//
// The server ends when it is told to. Its handlers are dropped where they stand: half-way through an answer, or
// before they have read what had arrived.

use std::rc::Rc;

use under_await::ch09_timer::Elapsed;
use under_await::ch10_net::TcpListener;
use under_await::ch11_task::spawn;
use under_await::ch13_race::{CancelToken, race};

pub async fn serve<H, F, S>(listener: TcpListener, limits: Limits, handler: H, shutdown: S) -> Result<(), Elapsed>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
    S: IntoFuture,
{
    let (ending, handler) = (CancelToken::new(), Rc::new(handler));
    let accept_all = async {
        while let Ok((stream, peer)) = listener.accept().await {
            let connection = Connection::new(stream, peer, limits.idle, ending.clone());
            let (handler, cut) = (handler.clone(), ending.clone());
            spawn(async move {
                race(cut.cancelled(), handler(connection)).await;
            });
        }
    };
    race(shutdown, accept_all).await;
    ending.cancel();
    Ok(())
}
