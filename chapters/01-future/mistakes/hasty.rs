// [never-woken] under_a_block_on_that_sleeps
//
// `poll_hastily` as it was given. A `block_on` that polls without a pause never notices; one that
// sleeps until it is woken sleeps for ever.

pub mod extend {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    pub use super::super::super::super::reference::subject::extend::*;

    pub struct Checksum {
        rest: std::vec::IntoIter<u8>,
        sum: u64,
    }

    pub fn checksum(bytes: Vec<u8>) -> Checksum {
        Checksum { rest: bytes.into_iter(), sum: 0 }
    }

    impl Future for Checksum {
        type Output = u64;

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
            let this = &mut *self;
            this.sum += this.rest.by_ref().take(1000).map(u64::from).sum::<u64>();
            match this.rest.len() {
                0 => Poll::Ready(this.sum),
                _ => Poll::Pending,
            }
        }
    }
}
