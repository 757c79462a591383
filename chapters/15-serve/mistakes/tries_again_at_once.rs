// [busy-poll] too_many_open_files
//
// After an error it tries again, at once. There is no descriptor then either, for nobody had a turn to close one.

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
    let handler = Rc::new(handler);
    let accept_all = async {
        loop {
            let Ok((stream, peer)) = listener.accept().await else { continue };
            let handler = handler.clone();
            spawn(async move {
                handler(Connection::new(stream, peer, limits.idle, CancelToken::new())).await;
            });
        }
    };
    race(shutdown, accept_all).await;
    Ok(())
}
