//! A server for `redis-cli` and `redis-benchmark`, until Ctrl-C.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, Ordering};

use under_await::ch08_poll::Direction;
use under_await::ch10_net::{Async, TcpListener};
use under_await::ch11_task::block_on;
use under_await::ch15_serve::redis::{Db, talk};
use under_await::ch15_serve::{Limits, serve};
use under_await::sys;

/// Listens at `port` of this machine. When Ctrl-C comes, it ends in good order, and says so.
pub(crate) fn until_ctrl_c(out: &mut impl Write, port: &str) -> io::Result<()> {
    let (listener, limits) = (bind(port)?, Limits::default());
    let (address, db) = (listener.local_addr()?, Rc::new(RefCell::new(Db::default())));
    let (bell, ringer) = sys::pipe()?;
    let bell = Async::new(bell)?;
    on_ctrl_c(&ringer)?;
    writeln!(out, "Listening on {address}, with room for {} clients.", limits.connections)?;
    writeln!(out, "  redis-cli -p {}", address.port())?;
    writeln!(out, "  redis-benchmark -p {} -q -t ping,set,get,incr -P 16", address.port())?;
    writeln!(out, "Ctrl-C ends it.")?;
    let shutdown = async {
        rung(&bell).await;
        let grace = limits.grace.as_secs();
        let _ = writeln!(out, "\nNobody comes in any more. Who is in has {grace} seconds.");
    };
    let ended = block_on(serve(listener, limits, move |client| talk(client, db.clone()), shutdown));
    match ended {
        Ok(()) => writeln!(out, "All have left, and were answered."),
        Err(_) => writeln!(out, "The time was over, and some had not left: they were cut off."),
    }
}

fn bind(port: &str) -> io::Result<TcpListener> {
    let unusable = |text| io::Error::new(ErrorKind::InvalidInput, text);
    let number = port.parse::<u16>();
    let number = number.map_err(|_| unusable(format!("`{port}` is no port: 0 to 65535")))?;
    TcpListener::bind(([127, 0, 0, 1], number)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            let another = "another one: cargo run --example 15-serve -- listen 6380";
            unusable(format!("port {port} is taken; {another}"))
        }
        _ => unusable(format!("cannot listen at port {port}: {error}")),
    })
}

/// Ready when it has rung. A second Ctrl-C then ends the process, as it always does.
async fn rung(bell: &Async<PipeReader>) {
    let read = |mut bell: &PipeReader| bell.read(&mut [0; 8]);
    let rung = poll_fn(|cx| bell.poll_io(Direction::Read, cx, read)).await;
    rung.expect("a pipe that can be read");
    // SAFETY: it takes two numbers.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// Where the handler rings.
static RINGER: AtomicI32 = AtomicI32::new(-1);

/// From now on, SIGINT ends no process, and rings.
fn on_ctrl_c(ringer: &PipeWriter) -> io::Result<()> {
    extern "C" fn ring(_signal: libc::c_int) {
        let fd = RINGER.load(Ordering::Relaxed);
        // SAFETY: write(2) may be called in a handler, and what it reads is one byte of a static.
        unsafe { libc::write(fd, b"!".as_ptr().cast(), 1) };
    }
    RINGER.store(ringer.as_raw_fd(), Ordering::Relaxed);
    let handler = ring as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler has the signature that signal(2) wants, and it calls write(2) only.
    let before = unsafe { libc::signal(libc::SIGINT, handler) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}
