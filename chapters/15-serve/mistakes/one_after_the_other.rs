// [waits-for-one] a_silent_client_holds_up_nobody
//
// Runs the handler in the loop that accepts. The next client is accepted when the one before it has gone.

use under_await::ch09_timer::Elapsed;
use under_await::ch10_net::TcpListener;
use under_await::ch13_race::{CancelToken, race};

pub async fn serve<H, F, S>(listener: TcpListener, limits: Limits, handler: H, shutdown: S) -> Result<(), Elapsed>
where
    H: Fn(Connection) -> F + 'static,
    F: Future + 'static,
    S: IntoFuture,
{
    let accept_all = async {
        while let Ok((stream, peer)) = listener.accept().await {
            handler(Connection::new(stream, peer, limits.idle, CancelToken::new())).await;
        }
    };
    race(shutdown, accept_all).await;
    Ok(())
}
