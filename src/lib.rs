//! # Under .await
//!
//! An async runtime, built from nothing, one layer at a time. Each module is a layer and rests only
//! on the layers before it; read them in order. Each has a chapter of the same number in
//! `chapters/`, which says why it is the way it is.
//!
//! | layer | its one idea |
//! |---|---|
//! | [`ch01_future`] | a future is a value that remembers how far it got |
//! | [`ch02_block_on`] | somebody has to call `poll` |
//! | [`ch03_waker`] | a waker is a pointer, four functions and a duty to count |
//! | [`ch04_park`] | sleep, and miss no wake |
//! | [`ch10_net`] | try first, wait when it would block |
//!
//! The items re-exported here are the last version of each: the runtime as its users see it.

pub mod ledger;
pub mod sys;

pub mod ch01_future;
pub mod ch02_block_on;
pub mod ch03_waker;
pub mod ch04_park;
pub mod ch05_handoff;
#[cfg(unix)]
pub mod ch07_select;
#[cfg(unix)]
pub mod ch08_poll;
#[cfg(unix)]
pub mod ch09_timer;
#[cfg(unix)]
pub mod ch10_net;

#[doc(inline)]
pub use ch01_future::{poll_fn, yield_now};
#[doc(inline)]
pub use ch03_waker::waker_fn;
#[doc(inline)]
pub use ch04_park::block_on;

/// TCP and UDP.
#[cfg(unix)]
pub mod net {
    pub use crate::ch10_net::{TcpListener, TcpStream, UdpSocket};
}

// The Rust blocks of the chapters are doc tests.
#[cfg(doctest)]
mod chapters {
    #[doc = include_str!("../chapters/01-future/README.md")]
    mod ch01 {}
    #[doc = include_str!("../chapters/02-block-on/README.md")]
    mod ch02 {}
    #[doc = include_str!("../chapters/03-waker/README.md")]
    mod ch03 {}
    #[doc = include_str!("../chapters/04-park/README.md")]
    mod ch04 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/10-net/README.md")]
    mod ch10 {}
}
