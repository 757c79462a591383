// What the sockets of every runtime promise: see `tests/net.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{Either, join, select};
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy};
use futures::stream::StreamExt;

use crate::support::net::{black_hole, refused, reset};
use crate::support::within;
use subject::{accept, addresses, block_on, connect, datagrams, dial, listen, local_addr, sleep};

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(30);

/// A port that the system chooses, on this machine only.
fn any() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

#[test]
fn both_sides_agree_on_who_they_are() {
    within(LIMIT, || {
        for ip in ["127.0.0.1", "::1"] {
            let Ok(listener) = listen(SocketAddr::new(ip.parse().unwrap(), 0)) else {
                println!("there is no {ip} here");
                continue;
            };
            block_on(async {
                let address = local_addr(&listener);
                let (ours, accepted) = join(connect(address), accept(&listener)).await;
                let (mut ours, (mut theirs, peer)) = (ours.unwrap(), accepted.unwrap());
                assert_eq!(addresses(&ours), (peer, address));
                assert_eq!(addresses(&theirs), (address, peer));
                ours.write_all(b"to and fro").await.unwrap();
                let mut got = [0; 10];
                theirs.read_exact(&mut got).await.unwrap();
                assert_eq!(&got, b"to and fro");
            });
        }
    });
}

#[test]
fn a_refused_connection_is_an_error() {
    within(LIMIT, || {
        let refused = refused();
        for _ in 0..10 {
            let error = block_on(connect(refused.address)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

/// Nobody answers, and the clock goes on; with somebody there, the connection stands.
#[test]
fn a_silent_peer_is_waited_for_as_long_as_one_likes() {
    within(LIMIT, || {
        let hole = black_hole();
        block_on(async {
            let mut connecting = pin!(connect(hole.address));
            assert!(within_ms(100, connecting.as_mut()).await.is_none());
            for _ in 0..100 {
                let poll = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(poll.is_pending(), "a poll without a reason");
            }
            // Room for one more: the system sends its request again, and this time is answered.
            hole.listener.accept().unwrap();
            let stream = connecting.await.unwrap();
            assert_eq!(addresses(&stream).1, hole.address);
        });
    });
}

/// Four MiB each way, at a peer that now and then sleeps.
#[test]
fn what_a_slow_peer_sends_and_gets_is_what_it_was() {
    const COUNT: usize = 4 << 20;
    within(LIMIT, || {
        let listener = listen(any()).unwrap();
        let address = local_addr(&listener);
        let peer = thread::spawn(move || {
            let mut stream = net::TcpStream::connect(address).unwrap();
            for (turn, part) in numbered(COUNT).chunks(70_001).enumerate() {
                if turn % 16 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
                stream.write_all(part).unwrap();
            }
            let (mut got, mut buffer) = (Vec::<u8>::new(), [0; 50_000]);
            loop {
                match stream.read(&mut buffer).unwrap() {
                    0 => return got,
                    count => got.extend(&buffer[..count]),
                }
                if got.len() % 7 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let got = block_on(async {
            let (mut stream, _) = accept(&listener).await.unwrap();
            let mut got = vec![0; COUNT];
            stream.read_exact(&mut got).await.unwrap();
            stream.write_all(&got).await.unwrap();
            stream.close().await.unwrap();
            got
        });
        assert!(got == numbered(COUNT), "other bytes came");
        assert!(peer.join().unwrap() == got, "other bytes arrived");
    });
}

/// One future reads and another one writes, both wait at the same time, and each gets its wake.
#[test]
fn both_halves_can_wait_at_once() {
    const COUNT: usize = 8 << 20;
    within(LIMIT, || {
        let listener = listen(any()).unwrap();
        let address = local_addr(&listener);
        let peer = thread::spawn(move || {
            let mut stream = net::TcpStream::connect(address).unwrap();
            thread::sleep(Duration::from_millis(50));
            stream.write_all(b"now").unwrap();
            thread::sleep(Duration::from_millis(50));
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        let start = Instant::now();
        block_on(async {
            let (stream, _) = accept(&listener).await.unwrap();
            let (mut reader, mut writer) = stream.split();
            let read = async {
                let mut word = [0; 3];
                reader.read_exact(&mut word).await.unwrap();
                (word, start.elapsed())
            };
            let write = async {
                writer.write_all(&numbered(COUNT)).await.unwrap();
                writer.close().await.unwrap();
                start.elapsed()
            };
            let ((word, read), written) = join(read, write).await;
            assert_eq!(&word, b"now");
            assert!(read < written, "the reader waited for the writer: {read:?}, {written:?}");
        });
        assert!(peer.join().unwrap() == numbered(COUNT));
    });
}

/// What others wrote for `futures::io` works on both sides.
#[test]
fn the_tools_of_futures_work_on_it() {
    within(LIMIT, || {
        let listener = listen(any()).unwrap();
        let address = local_addr(&listener);
        let server = async {
            let (stream, _) = accept(&listener).await.unwrap();
            let (reader, mut writer) = stream.split();
            let count = copy(BufReader::new(reader), &mut writer).await.unwrap();
            writer.close().await.unwrap();
            count
        };
        let client = async {
            let (reader, mut writer) = connect(address).await.unwrap().split();
            writer.write_all(b"one\ntwo\nthree").await.unwrap();
            writer.close().await.unwrap();
            BufReader::new(reader).lines().map(Result::unwrap).collect::<Vec<_>>().await
        };
        let (count, lines) = block_on(join(server, client));
        assert_eq!((count, lines), (13, vec!["one".into(), "two".into(), "three".into()]));
    });
}

/// A short read, and then the end, however often it is asked for.
#[test]
fn after_the_data_comes_the_end() {
    within(LIMIT, || {
        let listener = listen(any()).unwrap();
        let mut peer = net::TcpStream::connect(local_addr(&listener)).unwrap();
        peer.write_all(b"ten bytes.").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        block_on(async {
            let (mut stream, _) = accept(&listener).await.unwrap();
            let mut buffer = [0; 64];
            assert_eq!(stream.read(&mut buffer).await.unwrap(), 10);
            assert_eq!(stream.read(&mut []).await.unwrap(), 0, "no room is no reason to wait");
            for _ in 0..3 {
                assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
            }
            stream.write_all(b"still here").await.unwrap();
            stream.close().await.unwrap();
        });
        assert_eq!(io::read_to_string(peer).unwrap(), "still here");
    });
}

/// A peer's reset is its connection's error, and nobody else's.
#[test]
fn a_reset_ends_one_connection_only() {
    within(LIMIT, || {
        let listener = listen(any()).unwrap();
        let address = local_addr(&listener);
        block_on(async {
            let broken = net::TcpStream::connect(address).unwrap();
            let (mut one, _) = accept(&listener).await.unwrap();
            let mut healthy = net::TcpStream::connect(address).unwrap();
            let (mut two, _) = accept(&listener).await.unwrap();
            reset(broken);
            let error = one.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let error = one.write(b"anybody there?").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);

            two.write_all(b"still here").await.unwrap();
            let mut got = [0; 10];
            healthy.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"still here");
            let _third = net::TcpStream::connect(address).unwrap();
            accept(&listener).await.unwrap();
        });
    });
}

/// A client that says nothing keeps nobody from anything: what is accepted does not block.
#[test]
fn a_silent_client_does_not_stop_the_clock() {
    within(LIMIT, || {
        let listener = listen(any()).unwrap();
        let _silent = net::TcpStream::connect(local_addr(&listener)).unwrap();
        block_on(async {
            let (mut stream, _) = accept(&listener).await.unwrap();
            assert!(within_ms(30, stream.read(&mut [0; 8])).await.is_none());
            assert!(within_ms(30, accept(&listener)).await.is_none());
        });
    });
}

/// Polled, and dropped before it was ready, an operation has taken nothing with it.
#[test]
fn what_is_dropped_takes_nothing_with_it() {
    within(LIMIT, || {
        let listener = listen(any()).unwrap();
        block_on(async {
            assert!(within_ms(10, accept(&listener)).await.is_none());
            let mut client = net::TcpStream::connect(local_addr(&listener)).unwrap();
            let (mut stream, peer) = accept(&listener).await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            let mut got = [0; 9];
            for _ in 0..3 {
                assert!(within_ms(10, stream.read(&mut [0; 64])).await.is_none());
                client.write_all(b"all of it").unwrap();
                stream.read_exact(&mut got).await.unwrap();
                assert_eq!(&got, b"all of it");
            }
            let (one, address) = datagrams(any());
            let (other, from) = datagrams(any());
            assert!(within_ms(10, one.recv_from(&mut [0; 8])).await.is_none());
            other.send_to(b"whole", address).await.unwrap();
            assert_eq!(one.recv_from(&mut [0; 8]).await.unwrap(), (5, from));
        });
    });
}

#[test]
fn datagrams_arrive_whole() {
    within(LIMIT, || {
        block_on(async {
            let ((one, ours), (other, theirs)) = (datagrams(any()), datagrams(any()));
            dial(&other, ours).await;
            let mut buffer = [0; 2000];
            let (sent, got) =
                join(one.send_to(&[7; 1400], theirs), other.recv_from(&mut buffer)).await;
            assert_eq!((sent.unwrap(), got.unwrap()), (1400, (1400, ours)));
            assert_eq!(buffer[..1400], [7; 1400]);
            other.send(b"back").await.unwrap();
            assert_eq!(one.recv_from(&mut buffer).await.unwrap(), (4, theirs));
            // What does not fit is lost: a datagram is read once.
            one.send_to(b"too long", theirs).await.unwrap();
            one.send_to(b"next", theirs).await.unwrap();
            assert_eq!(other.recv(&mut buffer[..3]).await.unwrap(), 3);
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        });
    });
}

/// What comes of `future` in so many milliseconds.
async fn within_ms<F: Future>(ms: u64, future: F) -> Option<F::Output> {
    let (future, time) = (pin!(future), pin!(sleep(Duration::from_millis(ms))));
    match select(future, time).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Bytes that tell where they belong.
fn numbered(count: usize) -> Vec<u8> {
    let word = |at: u32| at.wrapping_mul(2_654_435_761).to_le_bytes();
    (0..count.div_ceil(4) as u32).flat_map(word).take(count).collect()
}
