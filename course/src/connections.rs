//! The connections of the server: hyper, on the runtime that the book builds.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener as Listening;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use under_await::net::{TcpListener, TcpStream};
use under_await::server::{self, Connection, Limits};
use under_await::sync::Notify;
use under_await::{CancelToken, select, time};

use crate::site::{Answer, Site, status};

/// How long a page waits for news in one request.
const NEWS: Duration = Duration::from_secs(20);
/// How long connections have for their last answer when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The name under which a page asks for news. No file has it: it would be hidden.
const VERSION: &str = "/.version";
/// What every page does: it asks which version of the book there is, and comes again when there is
/// another. A page that nobody looks at does not ask: a browser has few connections for one server.
const SCRIPT: &str = r#"<script>
addEventListener("load", async () => {
  const event = (of, name) => new Promise(go => of.addEventListener(name, go, { once: true }));
  for (let mine = "";;) {
    while (document.hidden) await event(document, "visibilitychange");
    try {
      const now = await (await fetch("/.version?" + mine)).text();
      if (mine && now !== mine) location.reload();
      mine = now;
    } catch {
      await new Promise(go => setTimeout(go, 1000));
    }
  }
});
</script>
"#;

/// What the server's thread is told.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Cancelled when the server is to end.
    pub(crate) end: CancelToken,
    /// Notified when the book was built again.
    pub(crate) news: Notify,
    /// How many connections there are at most.
    pub(crate) places: usize,
    /// How long a connection may be without a new request.
    pub(crate) patience: Duration,
}

/// Serves connections until the end, and gives those that are left a moment to finish.
pub(crate) async fn serve(
    listening: Listening,
    folder: PathBuf,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listening)?;
    let site = Rc::new(Site::new(folder, SCRIPT));
    let (connections, idle) = (shared.places, shared.patience);
    let limits = Limits { connections, idle, grace: FAREWELL };
    let theirs = shared.clone();
    let handler =
        move |client: Connection| connection(client.into_inner(), site.clone(), theirs.clone());
    // Whoever needs longer is cut off.
    let _ = server::serve(listener, limits, handler, shared.end.cancelled()).await;
    Ok(())
}

/// Answers the requests of a client, until it goes or has had its time.
async fn connection(stream: TcpStream, site: Rc<Site>, shared: Arc<Shared>) {
    let latest = Cell::new(Instant::now());
    let answers = service_fn(|request| {
        latest.set(Instant::now());
        let (site, shared) = (&site, &shared);
        async move { Ok::<_, Infallible>(answer(&request, site, shared).await) }
    });
    let server =
        http1::Builder::new().max_buf_size(64 * 1024).serve_connection(Io(stream), answers);
    let mut server = pin!(server);
    loop {
        let deadline = latest.get() + shared.patience;
        select! {
            // A client that goes in the middle of something is no news.
            _ = server.as_mut() => return,
            () = time::sleep_until(deadline) => if latest.get() + shared.patience <= deadline { return },
            () = shared.end.cancelled() => break,
        }
    }
    server.as_mut().graceful_shutdown();
    let _ = server.await;
}

/// A page, or the version of the book: at once for who does not know it, else when it changes.
async fn answer<B>(request: &Request<B>, site: &Site, shared: &Shared) -> Answer {
    if request.uri().path() != VERSION {
        return site.answer(request);
    }
    let news = shared.news.notified();
    if request.uri().query() == Some(&*site.version()) {
        select! {
            () = news => {}
            () = time::sleep(NEWS) => {}
            () = shared.end.cancelled() => return status(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
    Answer::new(site.version().into())
}

/// Our stream, as hyper wants it.
struct Io(TcpStream);

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 8192];
        let room = bytes.len().min(buffer.remaining());
        let n = ready!(Pin::new(&mut self.0).poll_read(cx, &mut bytes[..room]))?;
        buffer.put_slice(&bytes[..n]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
