//! Layer 4, invariant by invariant.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use support::{Event, Ledger, allocations, ball_game, later, ledger, self_wakes, within};
use under_await::ch04_park::{Parker, block_on};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(if cfg!(miri) { 100 } else { 10 });

/// Invariant 1. Every wake is answered by a poll before the next one is made, whenever it comes.
#[test]
fn of_a_million_wakes_none_is_lost() {
    let throws = if cfg!(miri) { 100 } else { 1_000_000 };
    match ball_game(throws, LIMIT, block_on) {
        Ok(polls) => assert!(polls <= throws + 2, "{polls} polls for {throws} wakes"),
        Err(lost) => panic!("of {throws} wakes, no. {lost} was lost"),
    }
}

/// Invariant 1. A wake that comes before the sleep ends it.
#[test]
fn a_future_that_wakes_itself_is_polled_again() {
    within(LIMIT, || block_on(self_wakes(100)));
}

/// Invariant 1. The poll after a wake sees what was done before it, for every one of the wakes
/// that fell together.
#[test]
fn the_poll_sees_what_was_done_before_the_wake() {
    within(LIMIT, || {
        for _ in 0..if cfg!(miri) { 10 } else { 500 } {
            let done: Arc<[AtomicU32; 2]> = Arc::default();
            let mut wakers = 0..2;
            block_on(poll_fn(|cx| {
                for i in &mut wakers {
                    let (done, waker) = (done.clone(), cx.waker().clone());
                    thread::spawn(move || {
                        done[i].store(1, Ordering::Relaxed);
                        waker.wake();
                    });
                }
                let all = done.iter().all(|done| done.load(Ordering::Relaxed) == 1);
                if all { Poll::Ready(()) } else { Poll::Pending }
            }));
        }
    });
}

/// Invariant 2. Every poll but the first uses up a wake, and wakes that come during one poll make
/// one more poll together.
#[test]
fn five_wakes_in_one_poll_make_one_more_poll() {
    let polls = within(LIMIT, || {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            match polls {
                1 => (0..5).for_each(|_| cx.waker().wake_by_ref()),
                2 => wake_in(Duration::from_millis(20), cx),
                _ => return Poll::Ready(()),
            }
            Poll::Pending
        }));
        polls
    });
    assert_eq!(polls, 3, "one, one for the five wakes, one for the last");
}

/// Invariant 2. An `unpark` that is not a wake does not poll, neither before nor during the sleep.
#[test]
fn an_unpark_that_is_not_a_wake_does_not_poll() {
    within(LIMIT, || {
        let woken = Arc::new(AtomicU32::new(0));
        let mut first = true;
        block_on(poll_fn(|cx| {
            if !first {
                assert_eq!(woken.load(Ordering::Relaxed), 1, "polled before the wake");
                return Poll::Ready(());
            }
            first = false;
            let (sleeper, waker, woken) = (thread::current(), cx.waker().clone(), woken.clone());
            sleeper.unpark();
            thread::spawn(move || {
                for _ in 0..5 {
                    thread::sleep(Duration::from_millis(5));
                    sleeper.unpark();
                }
                woken.store(1, Ordering::Relaxed);
                waker.wake();
            });
            Poll::Pending
        }));
    });
}

/// Invariant 2. Between two polls the thread sleeps: it does not ask the flag over and over.
#[test]
#[cfg(all(unix, not(miri)))]
fn waiting_costs_no_processor_time() {
    let busy = within(LIMIT, || {
        let before = thread_cpu_time();
        block_on(later(200));
        thread_cpu_time() - before
    });
    assert!(busy < Duration::from_millis(40), "{busy:?} of CPU time in a wait of 200 ms");
}

/// The CPU time that this thread has used: the clock of the process would count other tests.
#[cfg(all(unix, not(miri)))]
fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a `timespec` of ours, borrowed mutably for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Invariant 3. The future parks its own thread and so swallows the `unpark` of a wake.
#[test]
fn a_future_that_parks_takes_no_wake_away() {
    within(LIMIT, || {
        let mut first = true;
        block_on(poll_fn(|cx| {
            if first {
                first = false;
                cx.waker().wake_by_ref();
                thread::park();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
    });
}

/// Invariant 3. It swallows every token there is, the waker's and its own, over and over.
#[test]
fn a_future_that_parks_often_takes_no_wake_away() {
    within(LIMIT, || {
        let mut left = 100;
        block_on(poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            for _ in 0..left % 4 {
                thread::park();
                thread::current().unpark();
            }
            thread::park_timeout(Duration::ZERO);
            Poll::Pending
        }));
    });
}

/// Invariant 3. A blocking `recv` inside a poll is bad manners, and it parks.
#[test]
fn a_future_that_blocks_on_a_channel_takes_no_wake_away() {
    within(LIMIT, || {
        let mut first = true;
        block_on(poll_fn(|cx| {
            if !first {
                return Poll::Ready(());
            }
            first = false;
            let waker = cx.waker().clone();
            let (give, take) = mpsc::channel();
            thread::spawn(move || {
                waker.wake();
                thread::sleep(Duration::from_millis(10));
                let _ = give.send(());
            });
            let _ = take.recv();
            Poll::Pending
        }));
    });
}

/// Invariant 3. One `block_on` inside another takes no wake from it.
#[test]
fn nested_calls_keep_their_wakes_apart() {
    let output = within(LIMIT, || {
        block_on(async {
            let mut woken = false;
            poll_fn(|cx| {
                if woken {
                    return Poll::Ready(());
                }
                woken = true;
                // Ours, and not to be used up by the sleeps of the inner one.
                cx.waker().wake_by_ref();
                block_on(async {
                    self_wakes(3).await;
                    later(10).await;
                });
                Poll::Pending
            })
            .await;
            later(10).await
        })
    });
    assert_eq!(output, "done");
}

/// Invariant 3. Each of three levels is woken while the ones inside it sleep.
#[test]
fn three_levels_deep_is_not_too_deep() {
    fn level(depth: u32) -> u32 {
        block_on(async {
            let below = if depth == 0 { 0 } else { level(depth - 1) };
            self_wakes(2).await;
            later(5).await;
            below + 1
        })
    }
    assert_eq!(within(LIMIT, || level(2)), 3);
}

/// A panic in the inner `block_on` is the future's to catch; the outer one goes on.
#[test]
fn a_panic_in_the_inner_call_leaves_the_outer_one_whole() {
    let output = within(LIMIT, || {
        block_on(async {
            let inner = panic::catch_unwind(|| block_on(async { panic!("expected by the test") }));
            assert!(inner.is_err());
            self_wakes(2).await;
            (block_on(later(5)), later(5).await)
        })
    });
    assert_eq!(output, ("done", "done"));
}

/// A panic in the future passes through `block_on`, which then works on this thread as before.
#[test]
fn a_panic_in_the_future_leaves_the_thread_usable() {
    within(LIMIT, || {
        for _ in 0..3 {
            let result = panic::catch_unwind(|| {
                block_on(async {
                    self_wakes(1).await;
                    panic!("expected by the test");
                })
            });
            assert!(result.is_err());
            block_on(async {
                self_wakes(1).await;
                later(5).await;
            });
        }
    });
}

/// Invariant 4. Woken after the end, on the thread it came from: at most one poll more for the
/// next `block_on` there, which may be asked before its time like every future.
#[test]
fn a_waker_woken_after_the_end_does_no_harm() {
    within(LIMIT, || {
        let kept = waker_of_a_finished_call();
        kept.wake_by_ref();
        block_on(later(20));
        let polls = ledger().count(Event::Poll);
        assert!(polls <= 3, "{polls} polls");
        kept.wake();
    });
}

/// Invariant 4. The same from other threads, again and again, while later calls are under way.
#[test]
fn a_waker_woken_after_the_end_by_others_does_no_harm() {
    within(LIMIT, || {
        let kept = waker_of_a_finished_call();
        let stop = Arc::new(AtomicU32::new(0));
        let pest = thread::spawn({
            let stop = stop.clone();
            move || {
                while stop.load(Ordering::Relaxed) == 0 {
                    kept.clone().wake();
                    thread::yield_now();
                }
            }
        });
        for ms in [0, 1, 5] {
            block_on(later(ms));
            block_on(self_wakes(10));
        }
        stop.store(1, Ordering::Relaxed);
        pest.join().unwrap();
    });
}

/// Invariant 4. The waker outlives even the thread.
#[test]
fn a_waker_woken_after_the_end_of_its_thread_does_no_harm() {
    within(LIMIT, || {
        let kept = thread::spawn(waker_of_a_finished_call).join().unwrap();
        kept.wake_by_ref();
        thread::spawn(move || kept.wake()).join().unwrap();
    });
}

thread_local! {
    /// Runs [`AtTheEnd`] when the thread ends.
    static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

/// Calls `block_on` in its destructor.
struct AtTheEnd(mpsc::Sender<&'static str>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        // Twice, so that the second call meets what the first has put back, or failed to.
        block_on(self_wakes(2));
        let _ = self.0.send(block_on(later(5)));
    }
}

/// While a thread ends its thread-locals go, the cached parker too, and `block_on` still works:
/// whether the destructor that calls it runs before that of the cache or after.
#[test]
fn a_destructor_of_a_thread_local_may_block_on() {
    let (cache_first, cache_last) = within(LIMIT, || {
        let at_the_end = |used_before: bool, used_after: bool| {
            let (give, take) = mpsc::channel();
            let thread = thread::spawn(move || {
                if used_before {
                    block_on(async {});
                }
                LAST.set(Some(AtTheEnd(give)));
                if used_after {
                    block_on(async {});
                }
            });
            thread.join().unwrap();
            take.recv().expect("the destructor ran to its end")
        };
        (at_the_end(true, false), at_the_end(false, true))
    });
    assert_eq!((cache_first, cache_last), ("done", "done"));
}

/// The future's own destructor runs inside `block_on`, and may call it.
#[test]
fn a_destructor_of_the_future_may_block_on() {
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            block_on(later(5));
        }
    }
    within(LIMIT, || {
        let guard = Guard;
        block_on(async move {
            let _guard = guard;
            self_wakes(1).await;
        });
        let unused = Guard;
        block_on(poll_fn(move |_| {
            let _ = &unused;
            Poll::Ready(())
        }));
    });
}

/// The parker is cached: from the second call on, a future that is ready costs no allocation.
#[test]
fn a_ready_future_allocates_nothing_after_the_first_call() {
    within(LIMIT, || {
        Ledger::close(); // Its lines allocate.
        block_on(async {});
        assert_eq!(allocations(|| block_on(async {})), 0);
        assert_eq!(allocations(|| block_on(poll_fn(woken_before_the_sleep()))), 0);
    });
}

/// A parker makes its own thread sleep, so it must not get to another one.
#[test]
fn a_parker_is_not_send() {
    // For a type that is `Send` both impls apply, and the call below does not compile.
    trait Stays<Marker> {
        fn stays() {}
    }
    impl<T> Stays<()> for T {}
    impl<T: Send> Stays<u8> for T {}
    <Parker as Stays<_>>::stays();
}

/// A parker on its own: two wakes make one sleep, and the next one lasts until the next wake.
#[test]
fn a_parker_remembers_one_wake_and_no_more() {
    within(LIMIT, || {
        let parker = Parker::new();
        parker.waker().wake_by_ref();
        parker.waker().wake_by_ref();
        parker.park();
        let woken = Arc::new(AtomicU32::new(0));
        thread::spawn({
            let (waker, woken) = (parker.waker().clone(), woken.clone());
            move || {
                thread::sleep(Duration::from_millis(20));
                woken.store(1, Ordering::Relaxed);
                waker.wake();
            }
        });
        parker.park();
        assert_eq!(woken.load(Ordering::Relaxed), 1, "the second sleep used up an old wake");
    });
}

/// A waker of a `block_on` that has ended on this thread.
fn waker_of_a_finished_call() -> Waker {
    let mut kept = None;
    block_on(poll_fn(|cx| {
        kept = Some(cx.waker().clone());
        Poll::Ready(())
    }));
    kept.expect("the future was polled")
}

/// Wakes from another thread, after `delay`.
fn wake_in(delay: Duration, cx: &Context<'_>) {
    let waker = cx.waker().clone();
    thread::spawn(move || {
        thread::sleep(delay);
        waker.wake();
    });
}

/// Pending once, and woken already.
fn woken_before_the_sleep() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
    let mut first = true;
    move |cx| {
        if !first {
            return Poll::Ready(());
        }
        first = false;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
