//! The promises of layers 7 and 8, on those layers, by either call, and on the reactors of smol and of
//! tokio: the same tests for all of them.

#![cfg(unix)]

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::Poll;

use under_await::ch08_poll::Direction;

#[path = "../../support/mod.rs"]
mod support;

/// The tests, for what a reactor's module defines: `block_on`, and `watch`, whose result has a method
/// `attempt`, which tries first, waits when it would block, and tries again.
macro_rules! tests {
    () => {
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/checks/readiness.rs"));
    };
}

/// Layer 7.
mod by_select_alone {
    tests! {}

    mod subject {
        use crate::*;
        use under_await::ch07_select::{readable, writable};

        pub(super) use under_await::ch07_select::block_on;

        pub(super) struct Watched<'a>(BorrowedFd<'a>);

        pub(super) fn watch(io: &impl AsFd) -> Watched<'_> {
            Watched(io.as_fd())
        }

        impl Watched<'_> {
            pub(super) async fn attempt<T>(
                &self,
                direction: Direction,
                mut f: impl FnMut() -> io::Result<T>,
            ) -> io::Result<T> {
                loop {
                    match f() {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => match direction {
                            Direction::Read => readable(&self.0).await?,
                            Direction::Write => writable(&self.0).await?,
                        },
                        result => return result,
                    }
                }
            }
        }
    }
}

/// Layer 8, which asks by poll(2).
mod by_poll {
    tests! {}

    pub(super) mod subject {
        use crate::*;
        use under_await::ch08_poll::{ByPoll, Registration, ask_by};

        pub(super) fn block_on<F: Future>(future: F) -> F::Output {
            ask_by(Box::new(ByPoll)).unwrap();
            under_await::ch08_poll::block_on(future)
        }

        pub(crate) struct Watched(Registration);

        pub(crate) fn watch(io: &impl AsFd) -> Watched {
            Watched(Registration::new(io).unwrap())
        }

        impl Watched {
            pub(crate) async fn attempt<T>(
                &self,
                direction: Direction,
                mut f: impl FnMut() -> io::Result<T>,
            ) -> io::Result<T> {
                poll_fn(|cx| match f() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.0.wait_for(direction, cx)?;
                        Poll::Pending
                    }
                    result => Poll::Ready(result),
                })
                .await
            }
        }
    }
}

/// Layer 8, which asks by select(2).
mod by_select {
    tests! {}

    mod subject {
        use under_await::ch08_poll::{BySelect, ask_by};

        pub(super) use crate::by_poll::subject::watch;

        pub(super) fn block_on<F: Future>(future: F) -> F::Output {
            ask_by(Box::new(BySelect)).unwrap();
            under_await::ch08_poll::block_on(future)
        }
    }
}

/// smol's.
mod by_async_io {
    tests! {}

    mod subject {
        use crate::*;
        use async_io::Async;

        pub(super) use async_io::block_on;

        pub(super) struct Watched<'a>(Async<BorrowedFd<'a>>);

        pub(super) fn watch(io: &impl AsFd) -> Watched<'_> {
            Watched(Async::new(io.as_fd()).unwrap())
        }

        impl Watched<'_> {
            pub(super) async fn attempt<T>(
                &self,
                direction: Direction,
                mut f: impl FnMut() -> io::Result<T>,
            ) -> io::Result<T> {
                match direction {
                    Direction::Read => self.0.read_with(|_| f()).await,
                    Direction::Write => self.0.write_with(|_| f()).await,
                }
            }
        }
    }
}

/// tokio's, on one thread.
mod by_tokio {
    tests! {}

    mod subject {
        use crate::*;
        use tokio::io::Interest;
        use tokio::io::unix::AsyncFd;
        use tokio::runtime::{Builder, Runtime};

        thread_local! {
            static RUNTIME: Runtime = Builder::new_current_thread().enable_io().build().unwrap();
        }

        pub(super) fn block_on<F: Future>(future: F) -> F::Output {
            RUNTIME.with(|runtime| runtime.block_on(future))
        }

        pub(super) struct Watched<'a>(AsyncFd<BorrowedFd<'a>>);

        pub(super) fn watch(io: &impl AsFd) -> Watched<'_> {
            RUNTIME.with(|runtime| {
                let _inside = runtime.enter();
                // SAFETY: the descriptor is borrowed for as long as this lives, and stays the same.
                Watched(unsafe { AsyncFd::register(io.as_fd()) }.unwrap())
            })
        }

        impl Watched<'_> {
            pub(super) async fn attempt<T>(
                &self,
                direction: Direction,
                mut f: impl FnMut() -> io::Result<T>,
            ) -> io::Result<T> {
                let interest = match direction {
                    Direction::Read => Interest::READABLE,
                    Direction::Write => Interest::WRITABLE,
                };
                self.0.async_io(interest, |_| f()).await
            }
        }
    }
}
