//! The promises of layer 10, on that layer, by either call, and on the sockets of smol and of tokio: the
//! same tests for all of them, through `futures::io`.

#![cfg(unix)]

#[path = "../../support/mod.rs"]
mod support;

/// The tests, for what a runtime's module defines: its sockets, under names of ours.
macro_rules! tests {
    () => {
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/checks/net.rs"));
    };
}

/// Layer 10, which asks by poll(2).
mod by_poll {
    tests! {}

    pub(super) mod subject {
        use std::io;
        use std::net::SocketAddr;

        use under_await::ch08_poll::{ByPoll, ask_by};
        pub(crate) use under_await::net::{TcpListener, TcpStream, UdpSocket};
        pub(crate) use under_await::time::sleep;

        pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
            ask_by(Box::new(ByPoll)).unwrap();
            under_await::block_on(future)
        }

        pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
            TcpListener::bind(address)
        }

        pub(crate) fn local_addr(listener: &TcpListener) -> SocketAddr {
            listener.local_addr().unwrap()
        }

        pub(crate) async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
            listener.accept().await
        }

        pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
            TcpStream::connect(address).await
        }

        pub(crate) fn addresses(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
            (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
        }

        pub(crate) fn datagrams(address: SocketAddr) -> (UdpSocket, SocketAddr) {
            let socket = UdpSocket::bind(address).unwrap();
            let address = socket.local_addr().unwrap();
            (socket, address)
        }

        pub(crate) async fn dial(socket: &UdpSocket, peer: SocketAddr) {
            socket.connect(peer).unwrap();
        }
    }
}

/// Layer 10, which asks by select(2).
mod by_select {
    tests! {}

    mod subject {
        use under_await::ch08_poll::{BySelect, ask_by};

        pub(super) use crate::by_poll::subject::*;

        pub(super) fn block_on<F: Future>(future: F) -> F::Output {
            ask_by(Box::new(BySelect)).unwrap();
            under_await::block_on(future)
        }
    }
}

/// smol's.
mod by_async_io {
    tests! {}

    mod subject {
        use std::io;
        use std::net::{self, Shutdown, SocketAddr};
        use std::pin::Pin;
        use std::task::{Context, Poll};
        use std::time::Duration;

        use async_io::{Async, Timer};
        use futures::io::{AsyncRead, AsyncWrite};

        pub(super) use async_io::block_on;
        pub(super) type TcpListener = Async<net::TcpListener>;
        pub(super) type UdpSocket = Async<net::UdpSocket>;

        /// async-io leaves it to others to make a stream of it; async-net closes it so.
        #[derive(Debug)]
        pub(super) struct TcpStream(Async<net::TcpStream>);

        type PollIo<T> = Poll<io::Result<T>>;

        impl AsyncRead for TcpStream {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> PollIo<usize> {
                Pin::new(&mut self.0).poll_read(cx, buffer)
            }
        }

        impl AsyncWrite for TcpStream {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> PollIo<usize> {
                Pin::new(&mut self.0).poll_write(cx, bytes)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollIo<()> {
                Pin::new(&mut self.0).poll_flush(cx)
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> PollIo<()> {
                Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
            }
        }

        pub(super) async fn sleep(duration: Duration) {
            Timer::after(duration).await;
        }

        pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
            Async::<net::TcpListener>::bind(address)
        }

        pub(super) fn local_addr(listener: &TcpListener) -> SocketAddr {
            listener.get_ref().local_addr().unwrap()
        }

        pub(super) async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
            listener.accept().await.map(|(stream, peer)| (TcpStream(stream), peer))
        }

        pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
            Async::<net::TcpStream>::connect(address).await.map(TcpStream)
        }

        pub(super) fn addresses(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
            (stream.0.get_ref().local_addr().unwrap(), stream.0.get_ref().peer_addr().unwrap())
        }

        pub(super) fn datagrams(address: SocketAddr) -> (UdpSocket, SocketAddr) {
            let socket = Async::<net::UdpSocket>::bind(address).unwrap();
            let address = socket.get_ref().local_addr().unwrap();
            (socket, address)
        }

        pub(super) async fn dial(socket: &UdpSocket, peer: SocketAddr) {
            socket.get_ref().connect(peer).unwrap();
        }
    }
}

/// tokio's, on one thread, with the adapter that tokio has for `futures::io`.
mod by_tokio {
    tests! {}

    mod subject {
        use std::io;
        use std::net::{self, SocketAddr};

        use tokio::runtime::{Builder, Runtime};
        use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

        pub(super) use tokio::net::{TcpListener, UdpSocket};
        pub(super) use tokio::time::sleep;
        pub(super) type TcpStream = Compat<tokio::net::TcpStream>;

        thread_local! {
            static RUNTIME: Runtime =
                Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        }

        pub(super) fn block_on<F: Future>(future: F) -> F::Output {
            RUNTIME.with(|runtime| runtime.block_on(future))
        }

        /// Theirs are made inside of a runtime.
        fn inside<T>(f: impl FnOnce() -> T) -> T {
            RUNTIME.with(|runtime| {
                let _inside = runtime.enter();
                f()
            })
        }

        pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
            let listener = net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            inside(|| TcpListener::from_std(listener))
        }

        pub(super) fn local_addr(listener: &TcpListener) -> SocketAddr {
            listener.local_addr().unwrap()
        }

        pub(super) async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
            listener.accept().await.map(|(stream, peer)| (stream.compat(), peer))
        }

        pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
            Ok(tokio::net::TcpStream::connect(address).await?.compat())
        }

        pub(super) fn addresses(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
            (stream.get_ref().local_addr().unwrap(), stream.get_ref().peer_addr().unwrap())
        }

        pub(super) fn datagrams(address: SocketAddr) -> (UdpSocket, SocketAddr) {
            let socket = net::UdpSocket::bind(address).unwrap();
            socket.set_nonblocking(true).unwrap();
            let address = socket.local_addr().unwrap();
            (inside(|| UdpSocket::from_std(socket).unwrap()), address)
        }

        pub(super) async fn dial(socket: &UdpSocket, peer: SocketAddr) {
            socket.connect(peer).await.unwrap();
        }
    }
}
