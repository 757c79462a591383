// [no-limit] who_has_gone_leaves_nothing
//
// Keeps the handles of the tasks, and never looks at them. A task that is over lives on as long as its handle
// does: with every client that has ever come, the server has a little less memory.

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
    let (handler, mut tasks) = (Rc::new(handler), Vec::new());
    let accept_all = async {
        while let Ok((stream, peer)) = listener.accept().await {
            let handler = handler.clone();
            tasks.push(spawn(async move {
                handler(Connection::new(stream, peer, limits.idle, CancelToken::new())).await;
            }));
        }
    };
    race(shutdown, accept_all).await;
    Ok(())
}
