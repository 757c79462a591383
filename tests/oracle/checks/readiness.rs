// What every reactor promises to a leaf: see `tests/readiness.rs`.

use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::future::{join, join_all, select};

use crate::support::{Bell, self_wakes, within};
use subject::{block_on, watch};
use under_await::ch08_poll::Direction::{Read as ToRead, Write as ToWrite};
use under_await::sys;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn what_is_there_is_read_and_what_comes_later_is_waited_for() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        put(&writer, b"now");
        let late = in_a_while(move || put(&writer, b"later"));
        block_on(async {
            let (watched, mut bytes) = (watch(&reader), [0; 8]);
            for wanted in ["now", "later"] {
                let count = watched.attempt(ToRead, || (&reader).read(&mut bytes)).await.unwrap();
                assert_eq!(bytes[..count], *wanted.as_bytes());
            }
            late.join().unwrap();
            let end = watched.attempt(ToRead, || (&reader).read(&mut bytes)).await;
            assert_eq!(end.unwrap(), 0, "the writer has gone");
        });
    });
}

/// Both directions of one socket wait, and each is woken for its own reason.
#[test]
fn both_directions_wait_at_once() {
    within(LIMIT, || {
        let (socket, peer) = full_socket();
        let peer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            put(&peer, b"!");
            thread::sleep(Duration::from_millis(20));
            while (&peer).read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
            peer
        });
        block_on(async {
            let (watched, order) = (watch(&socket), std::cell::RefCell::new(Vec::new()));
            let read = async {
                watched.attempt(ToRead, || (&socket).read(&mut [0; 8])).await.unwrap();
                order.borrow_mut().push("read");
            };
            let write = async {
                watched.attempt(ToWrite, || (&socket).write(b"!")).await.unwrap();
                order.borrow_mut().push("written");
            };
            join(write, read).await;
            assert_eq!(order.into_inner(), ["read", "written"]);
        });
        drop(peer.join().unwrap());
    });
}

/// Polled by one task and moved to another, it wakes the other one.
#[test]
fn a_leaf_that_has_moved_wakes_where_it_is() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        block_on(async {
            let watched = watch(&reader);
            let mut read = pin!(watched.attempt(ToRead, || (&reader).read(&mut [0; 8])));
            let (_, elsewhere) = Bell::new();
            assert!(read.as_mut().poll(&mut Context::from_waker(&elsewhere)).is_pending());
            let late = in_a_while(move || put(&writer, b"!"));
            assert_eq!(read.await.unwrap(), 1);
            late.join().unwrap();
        });
    });
}

/// Polled ten thousand times for other reasons, it tries, and waits as before.
#[test]
fn ten_thousand_polls_without_a_reason_do_no_harm() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        block_on(async {
            let watched = watch(&reader);
            let mut read = pin!(watched.attempt(ToRead, || (&reader).read(&mut [0; 8])));
            for _ in 0..10_000 {
                let poll = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(poll.is_pending(), "{poll:?}");
            }
            put(&writer, b"!");
            assert_eq!(read.await.unwrap(), 1);
        });
    });
}

/// A future that wakes itself all the time keeps nobody from what the kernel says.
#[test]
fn a_future_that_wakes_itself_starves_nobody() {
    within(LIMIT, || {
        let (reader, writer) = pipe();
        let late = in_a_while(move || put(&writer, b"!"));
        block_on(async {
            let watched = watch(&reader);
            let read = pin!(watched.attempt(ToRead, || (&reader).read(&mut [0; 8])));
            let restless = pin!(async {
                loop {
                    self_wakes(1).await;
                }
            });
            let _ = select(read, restless).await;
        });
        late.join().unwrap();
    });
}

/// Gone altogether, a peer is news in both directions, and so is a reset.
#[test]
fn hang_ups_and_resets_wake_both_directions() {
    within(LIMIT, || {
        let (socket, peer) = full_socket();
        let gone = in_a_while(move || drop(peer));
        let (read, written) = read_and_written(&socket);
        // What the peer has not read when it goes makes an error of its going, here and there.
        assert!(read.is_err() || read.is_ok_and(|count| count == 0));
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        gone.join().unwrap();

        let (socket, peer) = tcp();
        fill(&socket);
        let gone = in_a_while(move || drop(peer));
        let (read, written) = read_and_written(&socket);
        // The first of the two gets the error of the reset.
        let kinds = [read.map_err(|error| error.kind()), written.map_err(|error| error.kind())];
        assert!(kinds.contains(&Err(ErrorKind::ConnectionReset)), "{kinds:?}");
        gone.join().unwrap();
    });
}

/// A peer that writes no more is an end for the reader, and still reads.
#[test]
fn a_half_close_is_seen() {
    within(LIMIT, || {
        let (socket, peer) = tcp();
        let half = in_a_while(move || {
            peer.shutdown(Shutdown::Write).unwrap();
            peer.set_nonblocking(false).unwrap();
            io::read_to_string(&peer).unwrap()
        });
        block_on(async {
            let watched = watch(&socket);
            let read = watched.attempt(ToRead, || (&socket).read(&mut [0; 8])).await;
            assert_eq!(read.unwrap(), 0);
            watched.attempt(ToWrite, || (&socket).write(b"answer")).await.unwrap();
        });
        drop(socket);
        assert_eq!(half.join().unwrap(), "answer");
    });
}

/// Dropped and closed while it waits; its number goes to another, and nothing is mistaken.
#[test]
fn a_number_that_is_given_away_again_is_another_descriptor() {
    within(LIMIT, || {
        let (other, writer) = pipe();
        let (reader, _old_writer) = pipe();
        let number = reader.as_raw_fd();
        block_on(async {
            {
                let watched = watch(&reader);
                let mut old = pin!(watched.attempt(ToRead, || (&reader).read(&mut [0; 8])));
                assert!(is_pending(old.as_mut()).await);
                // The reactor has a turn, and learns of it.
                self_wakes(3).await;
            }
            drop(reader);

            // SAFETY: `other` is open, and the new descriptor is ours: that number, or a later one.
            let fd = unsafe { libc::fcntl(other.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
            assert!(fd >= number);
            // SAFETY: it is open, and nobody else owns it.
            let new = PipeReader::from(unsafe { OwnedFd::from_raw_fd(fd) });
            let watched = watch(&new);
            let mut read = pin!(watched.attempt(ToRead, || (&new).read(&mut [0; 8])));
            assert!(is_pending(read.as_mut()).await);
            put(&writer, b"!");
            assert_eq!(read.await.unwrap(), 1);
        });
    });
}

/// Many at once, each of which is ready when its byte has come.
#[test]
fn two_hundred_pipes_are_waited_for_at_once() {
    within(LIMIT, || {
        let pipes = (0..200).map(|_| pipe()).collect::<Vec<_>>();
        let writers = pipes.iter().map(|(_, writer)| writer.try_clone().unwrap());
        let writers = writers.collect::<Vec<_>>();
        let late = in_a_while(move || {
            for writer in writers.iter().rev() {
                put(writer, b"!");
            }
        });
        block_on(join_all(pipes.iter().map(async |(reader, _)| {
            let watched = watch(reader);
            assert_eq!(watched.attempt(ToRead, || { reader }.read(&mut [0; 8])).await.unwrap(), 1);
        })));
        late.join().unwrap();
    });
}

/// A wake from another thread ends the sleep, while a descriptor is waited for.
#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    within(LIMIT, || {
        let (reader, _writer) = pipe();
        block_on(async {
            let watched = watch(&reader);
            let mut read = pin!(watched.attempt(ToRead, || (&reader).read(&mut [0; 8])));
            for ms in [0, 1, 5, 20] {
                select(read.as_mut(), pin!(crate::support::later(ms))).await;
            }
            assert!(is_pending(read).await);
        });
    });
}

/// A read and a write of `socket` at the same time.
fn read_and_written(socket: &(impl AsFd + Transfers)) -> (io::Result<usize>, io::Result<usize>) {
    block_on(async {
        let watched = watch(socket);
        let read = watched.attempt(ToRead, || socket.get());
        let write = watched.attempt(ToWrite, || socket.give());
        join(read, write).await
    })
}

/// What a socket does through a shared reference.
trait Transfers {
    fn get(&self) -> io::Result<usize>;
    fn give(&self) -> io::Result<usize>;
}

impl<T> Transfers for T
where
    for<'a> &'a T: Read + Write,
{
    fn get(&self) -> io::Result<usize> {
        { self }.read(&mut [0; 8])
    }

    fn give(&self) -> io::Result<usize> {
        { self }.write(&[0; 4096])
    }
}

/// Runs `f` on another thread, when whoever is to wait does so, most likely.
fn in_a_while<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(20));
        f()
    })
}

fn pipe() -> (PipeReader, PipeWriter) {
    sys::pipe().unwrap()
}

fn put(mut writer: impl Write, bytes: &[u8]) {
    writer.write_all(bytes).unwrap();
}

/// A connection to ourselves, whose ends do not block.
fn tcp() -> (TcpStream, TcpStream) {
    let (one, other) = crate::support::net::pair();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (one, other)
}

/// A pair of sockets, the first of which cannot be written to.
fn full_socket() -> (UnixStream, UnixStream) {
    let (socket, peer) = UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    fill(&socket);
    (socket, peer)
}

/// Writes until there is no room, and none is made for a while.
fn fill(socket: &impl Transfers) {
    let mut quiet = 0;
    while quiet < 5 {
        match socket.give() {
            Ok(_) => quiet = 0,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                quiet += 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Polls `future` once, with the waker of this task.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
