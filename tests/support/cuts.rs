//! Futures that are dropped half-way and begun anew: what is lost with them?

use std::future::{pending, poll_fn};
use std::io::{self, Read, Write};
use std::net::{self, Shutdown};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use futures::stream::StreamExt;
use under_await::ch05_handoff::oneshot;
use under_await::ch09_timer::{block_on, interval, pending_timers, sleep, timeout};
use under_await::ch10_net::{TcpListener, TcpStream, UdpSocket};
use under_await::ch13_race::{CancelToken, Either, race, select};

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
    Row { name: "Read", loss: "Nothing", cut: |polls| bytes(polls, read) },
    Row { name: "ReadExact", loss: "Bytes", cut: |polls| bytes(polls, read_exact) },
    Row { name: "ReadLine", loss: "Bytes", cut: read_line },
    Row { name: "Write", loss: "Nothing", cut: write },
    Row { name: "WriteAll", loss: "Bytes", cut: write_all },
    Row { name: "RecvFrom", loss: "Nothing", cut: recv_from },
    Row { name: "SendTo", loss: "Nothing", cut: send_to },
    Row { name: "BorrowedReceiver", loss: "Nothing", cut: borrowed_receiver },
    Row { name: "Receiver", loss: "Value", cut: receiver },
    Row { name: "Tick", loss: "Nothing", cut: tick },
    Row { name: "Sleep", loss: "Time", cut: sleeping },
    Row { name: "Cancelled", loss: "Nothing", cut: cancelled },
    Row { name: "Timeout", loss: "Nothing", cut: |polls| bytes(polls, read_in_time) },
    Row { name: "TimeoutOfReadExact", loss: "Bytes", cut: |polls| bytes(polls, exact_in_time) },
    Row { name: "Race", loss: "Nothing", cut: |polls| bytes(polls, read_in_a_race) },
    Row { name: "RaceOfReadExact", loss: "Bytes", cut: |polls| bytes(polls, exact_in_a_race) },
    Row { name: "Select", loss: "Nothing", cut: |polls| bytes(polls, read_in_a_select) },
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
                let times = if polls == 1 { "1 poll" } else { &format!("{polls} polls") };
                return (
                    self.loss,
                    Some(format!("Dropped after {times}, and begun anew: {seen}.")),
                );
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

fn recv_from(polls: u32) -> Result<(), String> {
    block_on(async {
        let ours = UdpSocket::bind(ANY).unwrap();
        let theirs = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (to, mut sent) = (ours.local_addr().unwrap(), 0);
        let mut send = || {
            sent += 1;
            theirs.send_to(&[sent], to).unwrap();
        };
        let (mut buffer, mut got) = ([0; 8], Vec::new());
        if let Some(Ok(_)) = cut(polls, ours.recv_from(&mut buffer), &mut send).await {
            got.push(buffer[0]);
        }
        send();
        while got.len() < usize::from(sent) {
            let Ok(_) = timeout(SOON, ours.recv_from(&mut buffer)).await else {
                return Err(format!("of {sent} datagrams, {got:?} came"));
            };
            got.push(buffer[0]);
        }
        if got.is_sorted() { Ok(()) } else { Err(format!("the datagrams came as {got:?}")) }
    })
}

fn send_to(polls: u32) -> Result<(), String> {
    block_on(async {
        let ours = UdpSocket::bind(ANY).unwrap();
        let theirs = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = theirs.local_addr().unwrap();
        let first = cut(polls, ours.send_to(b"1", to), || {}).await;
        ours.send_to(b"2", to).await.unwrap();
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
