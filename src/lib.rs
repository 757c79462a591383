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
//! | [`ch05_handoff`] | whoever completes a future finds its newest waker |
//! | [`ch06_io_models`] | the kernel can tell us, in five ways |
//! | [`ch07_select`] | readiness as a set of bits |
//! | [`ch08_poll`] | to wait is to write into a row that the kernel will read |
//! | [`ch09_timer`] | time is one more thing to wait for |
//! | [`ch10_net`] | try first, wait when it would block |
//! | [`ch11_task`] | to wake a task is to put it into a queue |
//! | [`ch12_join`] | a future may poll others: side by side, in one task |
//! | [`ch13_race`] | the first wins, the rest are dropped: cancellation is `Drop` |
//! | [`ch14_sync`] | every waiter has a ticket, and passes its call on when it is dropped |
//! | [`ch15_serve`] | whatever could go on for ever has a limit |
//! | [`ch16_pool`] | what goes to another thread is the closure that makes the future |
//!
//! The items re-exported here are the last version of each: the runtime as its users see it.

pub mod budget;
pub mod ledger;
pub mod sys;

pub mod ch01_future;
pub mod ch02_block_on;
pub mod ch03_waker;
pub mod ch04_park;
pub mod ch05_handoff;
#[cfg(unix)]
pub mod ch06_io_models;
#[cfg(unix)]
pub mod ch07_select;
#[cfg(unix)]
pub mod ch08_poll;
#[cfg(unix)]
pub mod ch09_timer;
#[cfg(unix)]
pub mod ch10_net;
#[cfg(unix)]
pub mod ch11_task;
pub mod ch12_join;
pub mod ch13_race;
pub mod ch14_sync;
#[cfg(unix)]
pub mod ch15_serve;
#[cfg(unix)]
pub mod ch16_pool;

#[doc(inline)]
pub use ch01_future::{poll_fn, yield_now};
#[doc(inline)]
pub use ch03_waker::{waker_fn, waker_ref};
#[cfg(not(unix))]
#[doc(inline)]
pub use ch04_park::block_on;
#[cfg(unix)]
#[doc(inline)]
pub use ch11_task::{JoinError, JoinHandle, block_on, spawn};
#[doc(inline)]
pub use ch12_join::{join, join_all, try_join, try_join_all};
#[doc(inline)]
pub use ch13_race::{CancelToken, Either, on_drop, race, select};
#[cfg(unix)]
#[doc(inline)]
pub use ch16_pool::Pool;

/// Waiting for the clock.
#[cfg(unix)]
pub mod time {
    #[doc(inline)]
    pub use crate::ch09_timer::{Elapsed, Interval, Sleep, Timeout};
    #[doc(inline)]
    pub use crate::ch09_timer::{interval, sleep, sleep_until, timeout};
}

/// TCP and UDP.
#[cfg(unix)]
pub mod net {
    pub use crate::ch10_net::{TcpListener, TcpStream, UdpSocket};
}

/// A server of connections.
#[cfg(unix)]
pub mod server {
    #[doc(inline)]
    pub use crate::ch15_serve::{Connection, Limits, serve};
}

/// Channels, and what tasks share.
pub mod sync {
    #[doc(inline)]
    pub use crate::ch14_sync::{AcquireError, TryAcquireError, TryLockError};
    #[doc(inline)]
    pub use crate::ch14_sync::{Mutex, MutexGuard, Notify, Semaphore, SemaphorePermit};

    /// Many messages, from many senders to one receiver.
    pub mod mpsc {
        #[doc(inline)]
        pub use crate::ch14_sync::{Receiver, Sender, UnboundedSender, channel, unbounded};
        #[doc(inline)]
        pub use crate::ch14_sync::{SendError, TryRecvError, TrySendError};
    }

    /// One value, from one sender to one receiver.
    pub mod oneshot {
        #[doc(inline)]
        pub use crate::ch05_handoff::{Receiver, RecvError, Sender, oneshot as channel};
    }
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
    #[doc = include_str!("../chapters/05-handoff/README.md")]
    mod ch05 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/06-io-models/README.md")]
    mod ch06 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/07-select/README.md")]
    mod ch07 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/08-poll/README.md")]
    mod ch08 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/09-timer/README.md")]
    mod ch09 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/10-net/README.md")]
    mod ch10 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/11-task/README.md")]
    mod ch11 {}
    #[doc = include_str!("../chapters/12-join/README.md")]
    mod ch12 {}
    #[doc = include_str!("../chapters/13-race/README.md")]
    mod ch13 {}
    #[doc = include_str!("../chapters/14-sync/README.md")]
    mod ch14 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/15-serve/README.md")]
    mod ch15 {}
    #[cfg(unix)]
    #[doc = include_str!("../chapters/16-pool/README.md")]
    mod ch16 {}
}
