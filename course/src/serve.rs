//! Serves the book: hyper, on the runtime that the book builds.
//!
//! The runtime has a thread of its own, so that the companion can do something else meanwhile.
//! Another one looks after the book: it builds it again when what it is made from changes.

use std::cell::Cell;
use std::convert::Infallible;
use std::env;
use std::io::{self, ErrorKind, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listening};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, ready};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use notify::{RecursiveMode, Watcher};
use rlimit::Resource;
use under_await::net::{TcpListener, TcpStream};
use under_await::sync::{Notify, Semaphore};
use under_await::{CancelToken, block_on, on_drop, select, spawn, time};

use crate::book;
use crate::checkout::Checkout;
use crate::failure::{Failure, Result, reason};
use crate::site::{Answer, Site, status};
use crate::term::{note, say};
use crate::watch;

/// Where the book is, unless something else is there.
pub(crate) const PORT: u16 = 3000;
/// How many connections there are at most, where the system allows as many; more have to wait.
const CONNECTIONS: usize = 2048;
/// How long a connection may be without a new request: idle, slow, or stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// The variable with which the tests set another patience, in milliseconds.
const TEST_PATIENCE: &str = "UNDER_AWAIT_PATIENCE";
/// How long a page waits for news in one request.
const NEWS: Duration = Duration::from_secs(20);
/// How long connections have for their last answer when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long nothing must happen before the book is built again.
const QUIET: Duration = Duration::from_millis(100);
/// How long nobody is accepted when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

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

/// The book, at an address, until this is dropped.
pub(crate) struct Server {
    /// Where it is.
    address: SocketAddr,
    /// What the server's thread is told through.
    shared: Arc<Shared>,
    /// The thread that the runtime is on.
    thread: Option<JoinHandle<()>>,
    /// Has the book built again; nobody waits for its end.
    _watcher: Box<dyn Watcher>,
}

/// What is shared with the server's thread.
#[derive(Debug)]
struct Shared {
    /// Cancelled when the server is to end.
    end: CancelToken,
    /// Notified when the book was built again.
    news: Notify,
    /// How many connections there are at most.
    places: usize,
    /// How long a connection may be without a new request.
    patience: Duration,
}

impl Server {
    /// Serves the book of `checkout`, which is in `folder`: at `port`, or, if nobody has insisted on
    /// one and the usual one is taken, at another. When what it is made from changes, it is built
    /// again.
    pub(crate) fn start(checkout: &Checkout, folder: PathBuf, port: Option<u16>) -> Result<Self> {
        let shared = Arc::new(Shared {
            end: CancelToken::new(),
            news: Notify::new(),
            places: places(),
            patience: patience(),
        });
        let listening = listen(port)?;
        let address = listening.local_addr().map_err(cannot_serve)?;
        let watcher = keep_built(checkout.clone(), shared.clone())?;
        // The runtime panics without a pipe to be woken through. This one makes room for it.
        let pipe = io::pipe().map_err(cannot_serve)?;
        let theirs = shared.clone();
        let thread = thread::spawn(move || {
            drop(pipe);
            if let Err(error) = block_on(serve(listening, folder, theirs)) {
                note(format!("The book is not served any more: {error}."));
            }
        });
        Ok(Server { address, shared, thread: Some(thread), _watcher: watcher })
    }

    /// Where a browser finds the book.
    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Has `say` say where the book is, and serves it until Ctrl-C; then answers what has been asked.
    /// A second Ctrl-C ends everything.
    pub(crate) fn until_interrupted(self, say: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        let (send, interrupted) = mpsc::sync_channel(1);
        let handler = move || {
            if send.try_send(()).is_err() {
                process::exit(130);
            }
        };
        ctrlc::set_handler(handler)
            .map_err(|error| Failure::unusable(format!("Ctrl-C cannot be heard: {error}.")))?;
        say(&self.url())?;
        note("The book is served until Ctrl-C.");
        // The handler is there as long as the process.
        let _ = interrupted.recv();
        Ok(())
    }
}

impl Drop for Server {
    /// Lets the answers that are under way come to their ends, for a while.
    fn drop(&mut self) {
        self.shared.end.cancel();
        if let Some(thread) = self.thread.take() {
            // If it has panicked, it has said so.
            let _ = thread.join();
        }
    }
}

/// How many connections there may be: half of the open files that the system grants. If those are
/// few, the reader is told.
fn places() -> usize {
    let granted = rlimit::increase_nofile_limit(2 * CONNECTIONS as u64);
    let files = granted.or_else(|_| Resource::NOFILE.get_soft()).unwrap_or_default();
    let places = CONNECTIONS.min(files as usize / 2).max(1);
    if places < CONNECTIONS {
        note(format!(
            "The book has at most {places} connections at once: `ulimit -n` allows {files} open files."
        ));
    }
    places
}

/// How long a connection may be without a new request.
fn patience() -> Duration {
    let told = env::var(TEST_PATIENCE).ok().and_then(|told| told.parse().ok());
    told.map_or(PATIENCE, Duration::from_millis)
}

/// The system does not let us serve.
fn cannot_serve(error: io::Error) -> Failure {
    Failure::unusable(format!("The book cannot be served: {}.", reason(&error)))
}

/// Builds the book again whenever it has become stale, on a thread of its own, until what is
/// returned is dropped.
fn keep_built(checkout: Checkout, shared: Arc<Shared>) -> Result<Box<dyn Watcher>> {
    let (send, changes) = mpsc::channel();
    // A file is watched through its folder: most editors put another file in its place.
    let mut watched = vec![(checkout.root.clone(), RecursiveMode::NonRecursive)];
    let sources = book::SOURCES.map(|source| checkout.root.join(source));
    let folders = sources.into_iter().filter(|source| source.is_dir());
    watched.extend(folders.map(|folder| (folder, RecursiveMode::Recursive)));
    let watcher = watch::watcher(&watched, move |event| {
        // A mere look, and our own is among them, changes nothing.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = send.send(());
        }
    })?;
    thread::spawn(move || {
        while changes.recv().is_ok() {
            // Editors save in several steps, and git changes many files.
            while changes.recv_timeout(QUIET).is_ok() {}
            match book::built(&checkout) {
                Ok(_) => shared.news.notify_waiters(),
                // Whatever it is, the next save may be better.
                Err(failure) => drop(failure.report()),
            }
        }
    });
    Ok(watcher)
}

/// A listener on this machine and for this machine.
fn listen(port: Option<u16>) -> Result<Listening> {
    let at = |port| Listening::bind((Ipv4Addr::LOCALHOST, port));
    match (at(port.unwrap_or(PORT)), port) {
        (Ok(listening), _) => Ok(listening),
        (Err(error), None) if error.kind() == ErrorKind::AddrInUse => {
            note(format!("Port {PORT} is taken, so the book is at another."));
            at(0).map_err(cannot_serve)
        }
        (Err(error), port) => {
            let port = port.unwrap_or(PORT);
            Err(Failure::unusable(format!(
                "The book cannot be served at port {port} ({error}). Name another with `--port`, or \
                 none: then a free one is chosen."
            )))
        }
    }
}

/// `cargo course serve`: serves the book until Ctrl-C.
pub(crate) fn command(checkout: &Checkout, port: Option<u16>) -> Result<()> {
    let server = Server::start(checkout, book::built(checkout)?, port)?;
    server.until_interrupted(|url| Ok(say(url)?))
}

/// Serves the book while the companion does something else, if somebody sits at a terminal. If it
/// cannot be served, it says why: the other thing is none the worse for it.
pub(crate) fn beside(checkout: &Checkout) -> Result<Option<Server>> {
    if !io::stdout().is_terminal() {
        return Ok(None);
    }
    match book::built(checkout).and_then(|folder| Server::start(checkout, folder, None)) {
        Ok(server) => {
            let url = server.url();
            say(format_args!("The book is at {url}, and pages come again when it changes."))?;
            Ok(Some(server))
        }
        Err(failure) => {
            failure.report();
            Ok(None)
        }
    }
}

/// Accepts connections until the end, and gives those that are left a moment to finish.
async fn serve(listening: Listening, folder: PathBuf, shared: Arc<Shared>) -> io::Result<()> {
    let listener = TcpListener::from_std(listening)?;
    let site = Rc::new(Site::new(folder, SCRIPT));
    let room = Rc::new(Semaphore::new(shared.places));
    while !shared.end.is_cancelled() {
        select! {
            accepted = accept(&listener, &room) => {
                let (site, shared, room) = (site.clone(), shared.clone(), room.clone());
                spawn(async move {
                    let _leave = on_drop(|| room.add_permits(1));
                    connection(accepted, site, shared).await;
                });
            },
            () = shared.end.cancelled() => {}
        }
    }
    drop(listener);
    let all_gone = async {
        for _ in 0..shared.places {
            room.acquire().await.expect("the room is never closed").forget();
        }
    };
    // Whoever needs longer is cut off.
    let _ = time::timeout(FAREWELL, all_gone).await;
    Ok(())
}

/// The next connection, with a place in the `room`.
async fn accept(listener: &TcpListener, room: &Semaphore) -> TcpStream {
    let place = room.acquire().await.expect("the room is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                place.forget();
                return stream;
            }
            // This one has gone already, or there is no descriptor for it; others come.
            Err(_) => time::sleep(PAUSE).await,
        }
    }
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
