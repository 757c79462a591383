//! The macros beside those of futures, which only this package builds.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use under_await::ch04_park::block_on;
use under_await::{join, select, try_join};

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

/// The polls, the outputs and the drops, in their order, are as with futures' `join!` and `try_join!`: with
/// three futures of up to three polls each, good ends and bad ones, and a drop after every number of polls.
#[test]
fn joins_are_as_futures_has_them() {
    let mut seen = 0;
    for script in 0..27 * 8 * 6 {
        let (polls, bad, cut) = (script % 27, script / 27 % 8, script / 216);
        let told = RefCell::new(String::new());
        let child = |n: u32| Child {
            name: ['a', 'b', 'c'][n as usize],
            left: polls / 3_u32.pow(n) % 3,
            is_bad: bad >> n & 1 == 1,
            told: &told,
        };
        let (a, b, c) = (child(0), child(1), child(2));
        let ours = story(&told, cut, async { join!(a, b, c) });
        let (a, b, c) = (child(0), child(1), child(2));
        assert_eq!(ours, story(&told, cut, async { futures::join!(a, b, c) }));
        let (a, b, c) = (child(0), child(1), child(2));
        let ours = story(&told, cut, async { try_join!(a, b, c) });
        let (a, b, c) = (child(0), child(1), child(2));
        assert_eq!(ours, story(&told, cut, async { futures::try_join!(a, b, c) }));
        seen += usize::from(ours.contains("Err("));
    }
    assert!(seen > 100, "only {seen} of them ended with an error");
}

/// Polls `future` so many times, if it is not ready before, and drops it: what was told meanwhile.
fn story<T: Debug>(told: &RefCell<String>, polls: u32, future: impl Future<Output = T>) -> String {
    {
        let mut future = pin!(future);
        for _ in 0..polls {
            told.borrow_mut().push('|');
            let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(output) = answer {
                *told.borrow_mut() += &format!(" {output:?}");
                break;
            }
        }
        told.borrow_mut().push('.');
    }
    told.take()
}

/// Ready after so many polls. It tells of each, and of its end.
struct Child<'a> {
    name: char,
    left: u32,
    is_bad: bool,
    told: &'a RefCell<String>,
}

impl<'a> Future for Child<'a> {
    type Output = Result<Told<'a>, Told<'a>>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        *self.told.borrow_mut() += &format!(" {}", self.name);
        let Some(left) = self.left.checked_sub(1) else {
            let output = Told(self.name, self.told);
            return Poll::Ready(if self.is_bad { Err(output) } else { Ok(output) });
        };
        self.left = left;
        Poll::Pending
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        *self.told.borrow_mut() += &format!(" drop({})", self.name);
    }
}

/// An output that tells of its end.
struct Told<'a>(char, &'a RefCell<String>);

impl Debug for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        *self.1.borrow_mut() += &format!(" drop(output of {})", self.0);
    }
}
