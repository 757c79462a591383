//! Futures that are dropped half-way and begun anew: what is lost with them?

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::{self, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use futures::stream::StreamExt;
use under_await::budget;
use under_await::ch01_future::yield_now;
use under_await::ch05_handoff::oneshot;
use under_await::ch07_select;
use under_await::ch08_poll::{Direction, ready_to};
use under_await::ch09_timer::{block_on, interval, pending_timers, sleep, sleep_until, timeout};
use under_await::ch10_net::{TcpListener, TcpStream, UdpSocket};
use under_await::ch11_task::{self, JoinHandle, spawn};
use under_await::ch12_join::{join, join_all, try_join, try_join_all};
use under_await::ch13_race::{CancelToken, Either, race, select};
use under_await::sys::{self, Faults};

use super::net::pair;

/// A future of ours, and what becomes of it when it is cut.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What is lost with it, in one word.
    pub loss: &'static str,
    /// Drops it after so many polls, begins anew, and says what was lost.
    pub cut: fn(u32) -> Result<(), String>,
}

/// As often as anything here is polled before it is dropped.
pub const POLLS: u32 = 4;

/// The table.
pub const ROWS: &[Row] = &[
    Row { name: "Accept", loss: "Nothing", cut: accept },
    Row { name: "Incoming", loss: "Nothing", cut: incoming },
    Row { name: "Connect", loss: "Nothing", cut: connect },
    Row { name: "Readable", loss: "Nothing", cut: readable },
    Row { name: "ReadyTo", loss: "Nothing", cut: ready },
    Row { name: "Read", loss: "Nothing", cut: |polls| bytes(polls, read) },
    Row { name: "ReadExact", loss: "Bytes", cut: |polls| bytes(polls, read_exact) },
    Row { name: "ReadLine", loss: "Bytes", cut: read_line },
    Row { name: "Write", loss: "Nothing", cut: write },
    Row { name: "WriteAll", loss: "Bytes", cut: write_all },
    Row { name: "RecvFrom", loss: "Nothing", cut: recv_from },
    Row { name: "Recv", loss: "Nothing", cut: recv },
    Row { name: "SendTo", loss: "Nothing", cut: send_to },
    Row { name: "Send", loss: "Nothing", cut: send },
    Row { name: "BorrowedReceiver", loss: "Nothing", cut: borrowed_receiver },
    Row { name: "Receiver", loss: "Value", cut: receiver },
    Row { name: "BorrowedHandle", loss: "Nothing", cut: borrowed_handle },
    Row { name: "Handle", loss: "Value", cut: handle },
    Row { name: "Tick", loss: "Nothing", cut: tick },
    Row { name: "Sleep", loss: "Time", cut: sleeping },
    Row { name: "SleepUntil", loss: "Nothing", cut: sleeping_until },
    Row { name: "Cancelled", loss: "Nothing", cut: cancelled },
    Row { name: "Timeout", loss: "Nothing", cut: |polls| bytes(polls, read_in_time) },
    Row { name: "TimeoutOfReadExact", loss: "Bytes", cut: |polls| bytes(polls, exact_in_time) },
    Row { name: "Race", loss: "Nothing", cut: |polls| bytes(polls, read_in_a_race) },
    Row { name: "RaceOfReadExact", loss: "Bytes", cut: |polls| bytes(polls, exact_in_a_race) },
    Row { name: "Select", loss: "Nothing", cut: |polls| bytes(polls, read_in_a_select) },
    Row { name: "SelectOfReadExact", loss: "Bytes", cut: |polls| bytes(polls, exact_in_a_select) },
    Row { name: "Join", loss: "Value", cut: |polls| bytes(polls, read_in_a_join) },
    Row { name: "TryJoin", loss: "Value", cut: |polls| bytes(polls, read_in_a_try_join) },
    Row { name: "JoinAll", loss: "Value", cut: |polls| bytes(polls, read_in_a_join_all) },
    Row { name: "TryJoinAll", loss: "Value", cut: |polls| bytes(polls, read_in_a_try_join_all) },
    Row { name: "Spend", loss: "Nothing", cut: spend },
];

/// The row with this name.
pub fn row(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("there is no row {name}"))
}

impl Row {
    /// Cuts it after every number of polls: what is lost, and the first sign of it.
    pub fn measure(&self) -> (&'static str, Option<String>) {
        for polls in 0..=POLLS {
            if let Err(seen) = (self.cut)(polls) {
                // The row has the word for it, if it says that anything is lost.
                let lost = if self.loss == "Nothing" { "Something" } else { self.loss };
                let times = if polls == 1 { "1 poll" } else { &format!("{polls} polls") };
                return (lost, Some(format!("Dropped after {times}, and begun anew: {seen}.")));
            }
        }
        ("Nothing", None)
    }
}

/// Polls `future` until it is ready, but not more than so many times: then it is dropped. After each
/// `Pending`, `meanwhile` lets something happen that it waits for.
pub async fn cut<F: Future>(
    polls: u32,
    future: F,
    mut meanwhile: impl FnMut(),
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left > 0 {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            meanwhile();
            left -= 1;
        }
        if left == 0 { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// What the peers below send, byte by byte.
pub const SENT: &[u8] = b"abcdefgh";

/// Cuts the first `read`, reads on to the end, and compares.
fn bytes(
    polls: u32,
    read: impl AsyncFn(&mut TcpStream) -> io::Result<Vec<u8>>,
) -> Result<(), String> {
    let (ours, mut theirs) = pair();
    let mut left = SENT.iter();
    let got = block_on(async {
        let (mut stream, mut got) = (TcpStream::from_std(ours).unwrap(), Vec::new());
        let send = || left.next().into_iter().for_each(|byte| theirs.write_all(&[*byte]).unwrap());
        got.extend(cut(polls, read(&mut stream), send).await.into_iter().flatten().flatten());
        theirs.write_all(left.as_slice()).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        while let Ok(bytes) = read(&mut stream).await
            && !bytes.is_empty()
        {
            got.extend(bytes);
        }
        got
    });
    same_bytes(&got)
}

/// Says what is missing.
pub fn same_bytes(got: &[u8]) -> Result<(), String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let [sent, read] = [text(SENT), text(got)];
    if got == SENT { Ok(()) } else { Err(format!("of \"{sent}\", \"{read}\" was read")) }
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 4];
    let count = stream.read(&mut buffer).await?;
    Ok(buffer[..count].to_vec())
}

async fn read_exact(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 4];
    stream.read_exact(&mut buffer).await?;
    Ok(buffer.to_vec())
}

const HOUR: Duration = Duration::from_secs(3600);

async fn read_in_time(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    timeout(HOUR, read(stream)).await.expect("it takes less than an hour")
}

async fn exact_in_time(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    timeout(HOUR, read_exact(stream)).await.expect("it takes less than an hour")
}

async fn read_in_a_race(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let Either::Left(bytes) = race(read(stream), pending::<()>()).await else { unreachable!() };
    bytes
}

async fn exact_in_a_race(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let Either::Left(bytes) = race(read_exact(stream), pending::<()>()).await else {
        unreachable!()
    };
    bytes
}

async fn read_in_a_select(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    select! {
        bytes = read(stream) => bytes,
        () = pending() => unreachable!(),
    }
}

async fn exact_in_a_select(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    select! {
        bytes = read_exact(stream) => bytes,
        () = pending() => unreachable!(),
    }
}

/// What takes longer than the read beside it.
async fn longer() -> io::Result<Vec<u8>> {
    for _ in 0..POLLS {
        yield_now().await;
    }
    Ok(Vec::new())
}

async fn read_in_a_join(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    join!(read(stream), longer()).0
}

async fn read_in_a_try_join(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    try_join!(read(stream), longer()).map(|(bytes, _)| bytes)
}

/// A future of a read.
type Reading<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + 'a>>;

/// A read, and what takes longer.
fn both(stream: &mut TcpStream) -> [Reading<'_>; 2] {
    [Box::pin(read(stream)), Box::pin(longer())]
}

async fn read_in_a_join_all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    join_all(both(stream)).await.swap_remove(0)
}

async fn read_in_a_try_join_all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    try_join_all(both(stream)).await.map(|mut bytes| bytes.swap_remove(0))
}

/// Cuts a wait for readiness, waits once more, and reads to the end.
fn waiting(
    run: impl FnOnce(Pin<&mut dyn Future<Output = ()>>),
    polls: u32,
    wait: impl AsyncFn(&net::TcpStream) -> io::Result<()>,
) -> Result<(), String> {
    let ((mut ours, mut theirs), mut left) = (pair(), SENT.iter());
    run(pin!(async {
        let send = || left.next().into_iter().for_each(|byte| theirs.write_all(&[*byte]).unwrap());
        let _ = cut(polls, wait(&ours), send).await;
        theirs.write_all(left.as_slice()).unwrap();
        wait(&ours).await.unwrap();
    }));
    theirs.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    ours.read_to_end(&mut got).unwrap();
    same_bytes(&got)
}

fn readable(polls: u32) -> Result<(), String> {
    waiting(
        |future| ch07_select::block_on(future),
        polls,
        async |io| ch07_select::readable(io).await,
    )
}

fn ready(polls: u32) -> Result<(), String> {
    waiting(|future| block_on(future), polls, async |io| ready_to(Direction::Read, io).await)
}

/// Lines out of a buffer: what the future has taken from there is gone with it.
fn read_line(polls: u32) -> Result<(), String> {
    let (ours, mut theirs) = pair();
    let mut left = SENT.iter();
    let got = block_on(async {
        let mut reader = BufReader::new(TcpStream::from_std(ours).unwrap());
        let send = || left.next().into_iter().for_each(|byte| theirs.write_all(&[*byte]).unwrap());
        let mut line = String::new();
        let _ = cut(polls, reader.read_line(&mut line), send).await;
        theirs.write_all(left.as_slice()).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        reader.read_line(&mut line).await.unwrap();
        line
    });
    same_bytes(got.as_bytes())
}

/// A message that no socket takes at once.
const LARGE: usize = 8 << 20;

/// How much `write` says that it has written, against what arrives. The peer reads nothing before
/// somebody waits for it.
fn written(write: impl AsyncFn(TcpStream, &mut dyn FnMut()) -> usize) -> Result<(), String> {
    let (ours, theirs) = pair();
    let (mut theirs, mut reader) = (Some(theirs), None);
    let mut reads = || {
        if let Some(mut theirs) = theirs.take() {
            reader = Some(thread::spawn(move || {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                got.len()
            }));
        }
    };
    let said = block_on(write(TcpStream::from_std(ours).unwrap(), &mut reads));
    reads();
    let got = reader.expect("it was started").join().unwrap();
    if said == got { Ok(()) } else { Err(format!("{said} bytes were written, and {got} arrived")) }
}

fn write(polls: u32) -> Result<(), String> {
    written(async |mut stream, reads| {
        let (message, mut said) = (vec![7; LARGE], 0);
        // Until there is no more room.
        while let Some(count) = cut(1, stream.write(&message), || {}).await {
            said += count.unwrap();
        }
        said += cut(polls, stream.write(&message), &mut *reads).await.map_or(0, Result::unwrap);
        reads();
        said + stream.write(&message).await.unwrap()
    })
}

fn write_all(polls: u32) -> Result<(), String> {
    written(async |mut stream, reads| {
        let message = vec![7; LARGE];
        let said = cut(polls, stream.write_all(&message), &mut *reads).await.map_or(0, |_| LARGE);
        reads();
        stream.write_all(&message).await.unwrap();
        said + LARGE
    })
}

/// This machine, at a port that the system chooses.
const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Long enough for what is there already.
const SOON: Duration = Duration::from_secs(5);

/// Counts who knocks and who is let in.
fn connections(polls: u32, next: impl AsyncFn(&TcpListener) -> TcpStream) -> Result<(), String> {
    block_on(async {
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        let connect = || clients.push(net::TcpStream::connect(address).unwrap());
        let mut accepted = u32::from(cut(polls, next(&listener), connect).await.is_some());
        clients.push(net::TcpStream::connect(address).unwrap());
        while (accepted as usize) < clients.len() {
            let Ok(_) = timeout(SOON, next(&listener)).await else {
                return Err(format!("of {} clients, {accepted} were accepted", clients.len()));
            };
            accepted += 1;
        }
        Ok(())
    })
}

fn accept(polls: u32) -> Result<(), String> {
    connections(polls, async |listener| listener.accept().await.unwrap().0)
}

fn incoming(polls: u32) -> Result<(), String> {
    connections(polls, async |listener| listener.incoming().next().await.unwrap().unwrap())
}

/// Dropped, it gives up: the peer sees the end. Begun anew, it is another connection.
fn connect(polls: u32) -> Result<(), String> {
    let listener = net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    block_on(async {
        let first = cut(polls, TcpStream::connect(address), || {}).await;
        let second = TcpStream::connect(address).await.unwrap();
        let known = first.into_iter().flatten().chain([second]).map(|ours| ours.local_addr());
        let known = known.map(Result::unwrap).collect::<Vec<_>>();
        loop {
            let (mut stream, peer) = listener.accept().unwrap();
            if known.contains(&peer) {
                return Ok(());
            }
            let end =
                stream.read(&mut [0; 8]).map_or_else(|error| error.to_string(), |n| n.to_string());
            if end != "0" {
                return Err(format!("a connection that was given up read {end}"));
            }
        }
    })
}

/// Counts the datagrams that come.
fn receiving(
    polls: u32,
    receive: impl AsyncFn(&UdpSocket, &mut [u8]) -> io::Result<()>,
) -> Result<(), String> {
    block_on(async {
        let ours = UdpSocket::bind(ANY).unwrap();
        let theirs = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        ours.connect(theirs.local_addr().unwrap()).unwrap();
        let (to, mut sent) = (ours.local_addr().unwrap(), 0);
        let mut send = || {
            sent += 1;
            theirs.send_to(&[sent], to).unwrap();
        };
        let (mut buffer, mut got) = ([0; 8], Vec::new());
        if let Some(Ok(())) = cut(polls, receive(&ours, &mut buffer), &mut send).await {
            got.push(buffer[0]);
        }
        send();
        while got.len() < usize::from(sent) {
            let Ok(_) = timeout(SOON, receive(&ours, &mut buffer)).await else {
                return Err(format!("of {sent} datagrams, {got:?} came"));
            };
            got.push(buffer[0]);
        }
        if got.is_sorted() { Ok(()) } else { Err(format!("the datagrams came as {got:?}")) }
    })
}

fn recv_from(polls: u32) -> Result<(), String> {
    receiving(polls, async |socket, buffer| socket.recv_from(buffer).await.map(drop))
}

fn recv(polls: u32) -> Result<(), String> {
    receiving(polls, async |socket, buffer| socket.recv(buffer).await.map(drop))
}

/// Counts the datagrams that go, against those that are said to. The first two attempts find no room,
/// which on one machine has to be made up.
fn sending(
    polls: u32,
    errors: &'static [(&'static str, i32)],
    send: impl AsyncFn(&UdpSocket, SocketAddr, &[u8]) -> io::Result<usize>,
) -> Result<(), String> {
    block_on(async {
        let ours = UdpSocket::bind(ANY).unwrap();
        let theirs = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = theirs.local_addr().unwrap();
        sys::inject(Some(Faults { seed: 1, one_in: 1, errors, short: false }));
        let mut attempts = 0;
        let room = || {
            attempts += 1;
            if attempts == 2 {
                sys::inject(None);
            }
        };
        let first = cut(polls, send(&ours, to, b"1"), room).await;
        sys::inject(None);
        assert_eq!(first.is_some(), polls > 2, "two attempts found no room");
        send(&ours, to, b"2").await.unwrap();
        let mut got = Vec::new();
        while got.last() != Some(&b'2') {
            let mut buffer = [0; 8];
            theirs.recv_from(&mut buffer).unwrap();
            got.push(buffer[0]);
        }
        let said = usize::from(first.is_some()) + 1;
        if got.len() == said { Ok(()) } else { Err(format!("{said} were sent, {got:?} came")) }
    })
}

fn send_to(polls: u32) -> Result<(), String> {
    let errors = &[("sendto", libc::EAGAIN)];
    sending(polls, errors, async |socket, to, bytes| socket.send_to(bytes, to).await)
}

fn send(polls: u32) -> Result<(), String> {
    sending(polls, &[("send", libc::EAGAIN)], async |socket, to, bytes| {
        socket.connect(to)?;
        socket.send(bytes).await
    })
}

fn borrowed_receiver(polls: u32) -> Result<(), String> {
    let (sender, mut receiver) = oneshot();
    let mut sender = Some(sender);
    let mut send = || {
        let _ = sender.take().map(|sender| sender.send("it"));
    };
    block_on(async {
        if cut(polls, &mut receiver, &mut send).await.is_none() {
            send();
            let got = receiver.await;
            return if got == Ok("it") { Ok(()) } else { Err(format!("it gave {got:?}")) };
        }
        Ok(())
    })
}

fn receiver(polls: u32) -> Result<(), String> {
    let (sender, receiver) = oneshot();
    let (mut sender, mut sent) = (Some(sender), None);
    let mut send = || {
        if let Some(sender) = sender.take() {
            sent = Some(sender.send("it"));
        }
    };
    let got = block_on(cut(polls, receiver, &mut send));
    send();
    match (sent.expect("it was sent"), got) {
        (Ok(()), None) => Err("`send` gave `Ok`, and nobody has the value".to_owned()),
        _ => Ok(()),
    }
}

/// A task that gives back what it is sent, whether or not anybody awaits it.
fn tasked(
    polls: u32,
    awaits: impl AsyncFn(u32, JoinHandle<&'static str>, &mut dyn FnMut()) -> Option<&'static str>,
) -> Result<(), String> {
    let (sender, receiver) = oneshot();
    let (mut sender, over) = (Some(sender), Rc::new(Cell::new(false)));
    let mut send = || {
        let _ = sender.take().map(|sender| sender.send("it"));
    };
    ch11_task::block_on(async {
        let ends = over.clone();
        let handle = spawn(async move {
            let got = receiver.await.unwrap();
            ends.set(true);
            got
        });
        let got = awaits(polls, handle, &mut send).await;
        send();
        while !over.get() {
            yield_now().await;
        }
        if got.is_some() {
            Ok(())
        } else {
            Err("the task is over, and nobody has its output".into())
        }
    })
}

fn borrowed_handle(polls: u32) -> Result<(), String> {
    tasked(polls, async |polls, mut handle, send| {
        if let Some(output) = cut(polls, &mut handle, &mut *send).await {
            return output.ok();
        }
        send();
        handle.await.ok()
    })
}

fn handle(polls: u32) -> Result<(), String> {
    tasked(polls, async |polls, handle, send| cut(polls, handle, send).await?.ok())
}

fn tick(polls: u32) -> Result<(), String> {
    let period = Duration::from_millis(4);
    block_on(async {
        let mut ticks = interval(period);
        let mut due = vec![ticks.tick().await];
        due.extend(cut(polls, ticks.tick(), || thread::sleep(period)).await);
        due.push(ticks.tick().await);
        due.push(ticks.tick().await);
        let apart = due.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
        let right = apart.iter().all(|apart| *apart == period);
        if right { Ok(()) } else { Err(format!("ticks of {period:?} were {apart:?} apart")) }
    })
}

fn sleeping(polls: u32) -> Result<(), String> {
    let duration = Duration::from_millis(20);
    block_on(async {
        let start = Instant::now();
        let nap = || thread::sleep(duration / 2);
        if cut(polls, sleep(duration), nap).await.is_some() {
            return Ok(());
        }
        let timers = pending_timers();
        if timers > 0 {
            return Err(format!("{timers} timers stayed behind"));
        }
        let begun = Instant::now();
        sleep(duration).await;
        // A sleep is never early, so this is no question of how fast the machine is.
        let lost = start.elapsed() >= duration + duration / 2 && begun > start + duration / 2;
        if lost { Err("what had passed of 20 ms did not count".to_owned()) } else { Ok(()) }
    })
}

fn sleeping_until(polls: u32) -> Result<(), String> {
    let period = Duration::from_millis(10);
    block_on(async {
        let deadline = Instant::now() + 2 * period;
        let _ = cut(polls, sleep_until(deadline), || thread::sleep(period)).await;
        let timers = pending_timers();
        if timers > 0 {
            return Err(format!("{timers} timers stayed behind"));
        }
        // It is asked first, so it wins however late both of them are.
        let later = deadline.saturating_duration_since(Instant::now()) + period;
        match race(sleep_until(deadline), sleep(later)).await {
            Either::Left(()) if Instant::now() >= deadline => Ok(()),
            woken => Err(format!("it was {woken:?}, {:?} after its deadline", deadline.elapsed())),
        }
    })
}

fn cancelled(polls: u32) -> Result<(), String> {
    let token = CancelToken::new();
    block_on(async {
        if cut(polls, token.cancelled(), || token.cancel()).await.is_none() {
            token.cancel();
            timeout(SOON, token.cancelled()).await.map_err(|_| "it was not heard".to_owned())?;
        }
        Ok(())
    })
}

/// Nothing is left in the first two turns, and one operation in each turn after them.
fn spend(polls: u32) -> Result<(), String> {
    let mut work = pin!(async {
        let first = cut(polls, budget::spend(), || {}).await;
        budget::spend().await;
        i32::from(first.is_some()) + 1
    });
    let mut turns = -2;
    let spent = loop {
        turns += 1;
        let left = u16::from(turns > 0);
        let poll = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(spent) = budget::Budget::default().grant(left, poll) {
            break spent;
        }
    };
    if spent == turns { Ok(()) } else { Err(format!("{turns} operations were there for {spent}")) }
}
