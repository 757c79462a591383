//! Channels on one thread: many messages through one, and one message each through many.

use std::hint::black_box;

use futures::{FutureExt, SinkExt, StreamExt, join};
use under_await::ch04_park::block_on;

use crate::table::{compare, timed};

/// The capacity of the bounded channels.
const ROOM: usize = 128;

pub(crate) fn measure() {
    compare(
        "bounded mpsc, one thread, per message (layer 14)",
        "ns",
        500_000,
        vec![
            timed("under_await", |n| {
                let (send, mut receive) = under_await::sync::mpsc::channel(ROOM);
                block_on(async {
                    let producer = async {
                        let send = send;
                        for i in 0..n {
                            send.send(i).await.expect("it is open");
                        }
                    };
                    let consumer = async {
                        while let Some(i) = receive.recv().await {
                            black_box(i);
                        }
                    };
                    join!(producer, consumer)
                });
            }),
            timed("futures", |n| {
                let (send, mut receive) = futures::channel::mpsc::channel(ROOM);
                block_on(async {
                    let producer = async {
                        let mut send = send;
                        for i in 0..n {
                            send.send(i).await.expect("it is open");
                        }
                    };
                    let consumer = async {
                        while let Some(i) = receive.next().await {
                            black_box(i);
                        }
                    };
                    join!(producer, consumer)
                });
            }),
            timed("tokio", |n| {
                let (send, mut receive) = tokio::sync::mpsc::channel(ROOM);
                block_on(async {
                    let producer = async {
                        let send = send;
                        for i in 0..n {
                            send.send(i).await.expect("it is open");
                        }
                    };
                    let consumer = async {
                        while let Some(i) = receive.recv().await {
                            black_box(i);
                        }
                    };
                    join!(producer, consumer)
                });
            }),
            timed("async-channel", |n| {
                let (send, receive) = async_channel::bounded(ROOM);
                block_on(async {
                    let producer = async {
                        let send = send;
                        for i in 0..n {
                            send.send(i).await.expect("it is open");
                        }
                    };
                    let consumer = async {
                        while let Ok(i) = receive.recv().await {
                            black_box(i);
                        }
                    };
                    join!(producer, consumer)
                });
            }),
        ],
    );
    compare(
        "oneshot: made, polled, sent and received (layer 5)",
        "ns",
        500_000,
        vec![
            timed("under_await", |n| {
                block_on(async {
                    for i in 0..n {
                        let (send, mut receive) = under_await::ch05_handoff::oneshot();
                        assert!((&mut receive).now_or_never().is_none(), "nothing was sent");
                        send.send(i).expect("it is open");
                        black_box(receive.await.expect("it was sent"));
                    }
                });
            }),
            timed("tokio", |n| {
                block_on(async {
                    for i in 0..n {
                        let (send, mut receive) = tokio::sync::oneshot::channel();
                        assert!((&mut receive).now_or_never().is_none(), "nothing was sent");
                        send.send(i).expect("it is open");
                        black_box(receive.await.expect("it was sent"));
                    }
                });
            }),
            timed("futures", |n| {
                block_on(async {
                    for i in 0..n {
                        let (send, mut receive) = futures::channel::oneshot::channel();
                        assert!((&mut receive).now_or_never().is_none(), "nothing was sent");
                        send.send(i).expect("it is open");
                        black_box(receive.await.expect("it was sent"));
                    }
                });
            }),
        ],
    );
}
