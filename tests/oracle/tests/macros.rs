//! The macros beside those of futures, which only this package builds.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use under_await::ch04_park::block_on;
use under_await::select;

/// Which of three wins, and after how many polls of each, is as with futures' `select_biased!`; in every
/// order of up to three polls.
#[test]
fn biased_is_as_futures_has_it() {
    use futures::FutureExt;
    let polls = &Cell::new([0; 3]);
    let after = |n: usize, left: u32| {
        let mut left = left;
        Box::pin(poll_fn(move |cx| {
            let mut counts = polls.get();
            counts[n] += 1;
            polls.set(counts);
            cx.waker().wake_by_ref();
            left = left.wrapping_sub(1);
            if left == u32::MAX { Poll::Ready(n) } else { Poll::Pending }
        }))
    };
    for (a, b, c) in (0..64).map(|n| (n % 4, n / 4 % 4, n / 16)) {
        let (mut a1, mut b1, mut c1) = (after(0, a), after(1, b), after(2, c));
        let ours = block_on(async {
            select! { biased; n = &mut a1 => n, n = &mut b1 => n, n = &mut c1 => n }
        });
        let our_polls = polls.take();
        let (mut a, mut b, mut c) = (after(0, a).fuse(), after(1, b).fuse(), after(2, c).fuse());
        let theirs = block_on(async {
            futures::select_biased! { n = a => n, n = b => n, n = c => n }
        });
        assert_eq!((ours, our_polls), (theirs, polls.take()));
    }
}
