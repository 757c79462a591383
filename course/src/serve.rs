//! Serves the book, on this machine and for this machine.
//!
//! The runtime has a thread of its own, so that the companion can do something else meanwhile; its
//! work is in `connections.rs`. Another thread looks after the book: it builds it again when what it is
//! made from changes.

use std::env;
use std::io::{self, ErrorKind, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listening};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use rlimit::Resource;
use under_await::sync::Notify;
use under_await::{CancelToken, block_on};

use crate::book;
use crate::checkout::Checkout;
use crate::connections::{Shared, serve};
use crate::failure::{Failure, Result, reason};
use crate::term::{note, say};
use crate::watch;

/// Where the book is, unless something else is there.
const PORT: u16 = 3000;
/// How many connections there are at most, where the system allows as many; more have to wait.
const CONNECTIONS: usize = 2048;
/// How long a connection may be without a new request: idle, slow, or stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// The variable with which the tests set another patience, in milliseconds.
const TEST_PATIENCE: &str = "UNDER_AWAIT_PATIENCE";
/// How long nothing must happen before the book is built again.
const QUIET: Duration = Duration::from_millis(100);

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

impl Server {
    /// Serves the book of `checkout`, which is in `folder`: at `port`, or, if nobody has insisted on
    /// one and the usual one is taken, at another. When what it is made from changes, it is built
    /// again.
    pub(crate) fn start(checkout: &Checkout, folder: PathBuf, port: Option<u16>) -> Result<Self> {
        let listening = listen(port)?;
        let address = listening.local_addr().map_err(cannot_serve)?;
        let (places, patience) = (places(), patience());
        let (end, news) = (CancelToken::new(), Notify::new());
        let shared = Arc::new(Shared { end, news, places, patience });
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
