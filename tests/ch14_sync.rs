//! Layer 14, invariant by invariant.
//!
//! Random walks beside a model of each primitive are in `tests/oracle/tests/models.rs`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::error::Error;
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as Lock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::future::join;
use futures::{SinkExt, StreamExt, stream};

use support::{Bell, Drops, Now, Random, Waiting, allocations, cloning, within};
use under_await::ch01_future::{poll_fn, yield_now};
use under_await::ch03_waker::waker_fn;
use under_await::ch04_park::block_on;
use under_await::ch14_sync::{
    AcquireError, Mutex, Notify, Semaphore, SendError, Sender, TryAcquireError, TryLockError,
    TryRecvError, TrySendError, UnboundedSender, channel, unbounded,
};

mod support;

/// Long enough for a slow machine, short enough for a hang.
const LIMIT: Duration = Duration::from_secs(10);

/// Fewer rounds where each takes its time.
const fn rounds(n: usize) -> usize {
    if cfg!(miri) { n / 2000 } else { n }
}

/// As many as show that it is the same each time.
const fn few(n: usize) -> usize {
    if cfg!(miri) { 3 } else { n }
}

// ── Invariant 1: in order ──

/// Ten wait for one permit. It goes from one to the next as they came, and each is woken once.
#[test]
fn permits_go_round_in_the_order_of_arrival() {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut held = Some(semaphore.try_acquire().unwrap());
    let mut waiting = (0..10).map(|_| Waiting::new(semaphore.acquire())).collect::<Vec<_>>();
    assert!(waiting.iter_mut().all(|waiting| waiting.poll().is_pending()));
    for n in 0..10 {
        drop(held.take());
        let rung = waiting.iter().map(|waiting| waiting.bell.rung()).collect::<Vec<_>>();
        assert_eq!(rung, (0..10).map(|i| u32::from(i == n)).collect::<Vec<_>>());
        // Who was not called may ask as often as they like.
        assert!(waiting.iter_mut().skip(n + 1).all(|waiting| waiting.poll().is_pending()));
        held = Some(waiting[n].poll().map(Result::unwrap).now());
    }
}

/// Nobody overtakes: a call in between does not get what the first in the queue was called for.
#[test]
fn who_was_called_is_not_overtaken() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire().unwrap();
    let mut first = Waiting::new(semaphore.acquire());
    assert!(first.poll().is_pending());
    drop(permit);
    assert_eq!(semaphore.available_permits(), 0);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    assert!(Waiting::new(semaphore.acquire()).poll().is_pending());
    assert!(first.poll().now().is_ok());

    let mutex = Mutex::new(0);
    let guard = mutex.try_lock().unwrap();
    let mut first = Waiting::new(mutex.lock());
    assert!(first.poll().is_pending());
    drop(guard);
    assert_eq!(mutex.try_lock().unwrap_err(), TryLockError);
    *first.poll().now() += 1;

    let (sender, mut receiver) = channel(1);
    sender.try_send(1).unwrap();
    let mut first = Waiting::new(sender.send(2));
    assert!(first.poll().is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(first.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(2));
}

/// Messages arrive in the order in which they were sent, also those whose senders had to wait.
#[test]
fn messages_arrive_in_the_order_of_the_senders() {
    let (sender, mut receiver) = channel(2);
    let mut sends = (0..10).map(|n| Waiting::new(sender.send(n))).collect::<Vec<_>>();
    let sent = sends.iter_mut().map(|send| send.poll().is_ready()).collect::<Vec<_>>();
    assert_eq!(sent.iter().filter(|sent| **sent).count(), 2, "room for two");
    for n in 0..10 {
        assert_eq!(receiver.try_recv(), Ok(n));
        if let Some(send) = sends.get_mut(n + 2) {
            assert_eq!(send.bell.rung(), 1);
            assert_eq!(send.poll(), Poll::Ready(Ok(())));
        }
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

/// A thousand messages, one thread: one change of turns for each time the room is full. The chapter asks
/// its reader for these numbers.
#[cfg_attr(miri, ignore = "takes minutes")]
#[test]
fn the_room_says_how_often_the_sender_waits() {
    for (room, needed) in [(1, 999), (10, 99), (100, 9)] {
        let (sender, mut receiver) = channel(room);
        let mut pending = 0;
        let mut sends = Box::pin(async move {
            for n in 0..1_000 {
                sender.send(n).await.unwrap();
            }
        });
        let mut cx = Context::from_waker(Waker::noop());
        while sends.as_mut().poll(&mut cx).is_pending() {
            pending += 1;
            while receiver.try_recv().is_ok() {}
        }
        assert_eq!(pending, needed, "with room for {room}");
    }
}

// ── Invariant 2: nothing lost ──

/// Three wait for one permit, and one of them is dropped. However that was, the two others have their
/// turn and the permit is there in the end.
#[test]
fn a_permit_survives_a_drop_at_every_step() {
    for victim in victims() {
        let semaphore = Semaphore::new(1);
        let mut held = semaphore.try_acquire().ok();
        let acquire = [(); 3].map(|()| semaphore.acquire());
        let turns = victim.turns(acquire, |_| drop(held.take()), |permit| drop(permit.unwrap()));
        victim.has_spared_the_others(&turns);
        assert_eq!(semaphore.available_permits(), 1, "{victim:?}");
    }
}

/// The same for the value of a mutex.
#[test]
fn a_value_survives_a_drop_at_every_step() {
    for victim in victims() {
        let mutex = Mutex::new(0);
        let mut held = mutex.try_lock().ok();
        let lock = [(); 3].map(|()| mutex.lock());
        let turns = victim.turns(lock, |_| drop(held.take()), |mut guard| *guard += 1);
        victim.has_spared_the_others(&turns);
        assert_eq!(*mutex.try_lock().unwrap(), turns.len(), "{victim:?}");
    }
}

/// The same for three notifications. The one that nobody has heard is kept.
#[test]
fn a_notification_survives_a_drop_at_every_step() {
    for victim in victims() {
        let notify = Notify::new();
        let notified = [(); 3].map(|()| notify.notified());
        let notify_one = |step| {
            if step < 6 {
                notify.notify_one()
            }
        };
        let turns = victim.turns(notified, notify_one, |()| {});
        victim.has_spared_the_others(&turns);
        let kept = Waiting::new(notify.notified()).poll().is_ready();
        assert_eq!(turns.len() + usize::from(kept), 3, "{victim:?}");
        assert!(Waiting::new(notify.notified()).poll().is_pending());
    }
}

/// The same for the room in a channel: what was sent is received, in order, and the room is as large as
/// it was.
#[test]
fn room_survives_a_drop_at_every_step() {
    for victim in victims() {
        let (sender, mut receiver) = channel(1);
        sender.try_send(9).unwrap();
        let mut received = Vec::new();
        let send = [0, 1, 2].map(|n| sender.send(n));
        let receive = |_| received.extend(receiver.try_recv());
        let turns = victim.turns(send, receive, |sent| sent.unwrap());
        victim.has_spared_the_others(&turns);
        assert_eq!(received, [&[9], &turns[..]].concat(), "{victim:?}");
        assert_eq!(sender.try_send(3), Ok(()), "{victim:?}");
        assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)), "{victim:?}");
    }
}

/// The same for senders that are sinks, and are dropped whole: with a place in the queue, or with room
/// that they have not used.
#[test]
fn room_survives_a_sink_that_is_dropped_at_every_step() {
    for victim in victims() {
        let (sender, mut receiver) = channel(1);
        sender.try_send(9).unwrap();
        let mut received = Vec::new();
        let send = [0, 1, 2].map(|n| {
            let mut sink = sender.clone();
            async move {
                poll_fn(|cx| sink.poll_ready_unpin(cx)).await?;
                // It may be dropped here as well.
                yield_now().await;
                sink.start_send_unpin(n)
            }
        });
        let receive = |_| received.extend(receiver.try_recv());
        let turns = victim.turns(send, receive, |sent| sent.unwrap());
        victim.has_spared_the_others(&turns);
        assert_eq!(received, [&[9], &turns[..]].concat(), "{victim:?}");
        assert_eq!(sender.try_send(3), Ok(()), "{victim:?}");
        assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)), "{victim:?}");
    }
}

/// The same for messages: three wait for one each, at one receiver. Whatever nobody has received is still
/// there, and in order.
#[test]
fn a_message_survives_a_drop_at_every_step() {
    for victim in victims() {
        let (sender, receiver) = channel(3);
        let receiver = Mutex::new(receiver);
        let recv = [(); 3].map(|()| async { receiver.lock().await.recv().await.unwrap() });
        let mut received = Vec::new();
        let send = |step| {
            if step < 6 {
                sender.try_send(step).unwrap()
            }
        };
        let turns = victim.turns(recv, send, |message| received.push(message));
        victim.has_spared_the_others(&turns);
        let mut receiver = receiver.try_lock().unwrap();
        received.extend(std::iter::from_fn(|| receiver.try_recv().ok()));
        assert_eq!(received, [3, 4, 5], "{victim:?}");
    }
}

/// The table of the chapter has a row for each of these, and names it.
#[test]
fn the_chapter_has_a_row_for_each_drop() {
    let rows = include_str!("../chapters/14-sync/README.md").lines();
    let rows = rows.filter_map(|line| line.strip_suffix("_at_every_step` |")?.rsplit('`').next());
    let tests = include_str!("ch14_sync.rs").lines();
    let tests =
        tests.filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("_at_every_step() {"));
    assert!(rows.eq(tests));
}

/// Who of three is dropped, and before which step.
#[derive(Clone, Copy, Debug)]
struct Victim {
    who: usize,
    step: usize,
}

/// How many steps there are for each scene. In the first three, all take their places.
const STEPS: usize = 18;

/// Each of three, before every step, and after the last.
fn victims() -> impl Iterator<Item = Victim> {
    (0..3).flat_map(|who| (0..=STEPS).map(move |step| Victim { who, step }))
}

impl Victim {
    /// Polls three in turn, whoever was woken, and drops this one when it is time. From the fourth step
    /// on `before` is called before each. Returns who was ready, in order.
    fn turns<F: Future>(
        self,
        futures: [F; 3],
        mut before: impl FnMut(usize),
        mut ready: impl FnMut(F::Output),
    ) -> Vec<usize> {
        let mut waiting = futures.map(|future| Some(Waiting::new(future)));
        let mut turns = Vec::new();
        for step in 0..STEPS {
            if step == self.step {
                waiting[self.who] = None;
            }
            if step >= 3 {
                before(step);
            }
            // Whoever is called in this step is polled in a later one, and may be dropped in between.
            let who = if step < 3 { step } else { (step + 1) % 3 };
            let Some(asked) = &mut waiting[who] else { continue };
            if (step < 3 || asked.bell.rung() > 0)
                && let Poll::Ready(output) = asked.poll()
            {
                turns.push(who);
                waiting[who] = None;
                ready(output);
            }
        }
        before(STEPS);
        turns
    }

    /// The others were all ready, once each.
    fn has_spared_the_others(self, turns: &[usize]) {
        let mut others = turns.iter().filter(|who| **who != self.who).collect::<Vec<_>>();
        others.sort_unstable();
        let needed = (0..3).filter(|who| *who != self.who).collect::<Vec<_>>();
        assert!(others.into_iter().eq(&needed), "{self:?}: {turns:?}");
    }
}

/// The same for a mutex: whoever is dropped with the value on its way to it hands it on.
#[test]
fn a_called_waiter_that_is_dropped_hands_the_value_on() {
    let mutex = Mutex::new(7);
    let guard = mutex.try_lock().unwrap();
    let mut waiting = (0..5).map(|_| Waiting::new(mutex.lock())).collect::<VecDeque<_>>();
    assert!(waiting.iter_mut().all(|waiting| waiting.poll().is_pending()));
    drop(guard);
    // One after the other is called, woken and dropped without another poll.
    for _ in 0..4 {
        assert_eq!(waiting.iter().map(|waiting| waiting.bell.rung()).sum::<u32>(), 1);
        waiting.pop_front();
    }
    assert_eq!(waiting[0].bell.rung(), 1);
    assert_eq!(*waiting[0].poll().now(), 7);
    assert_eq!(*mutex.try_lock().unwrap(), 7);
}

/// The same for the room in a channel, and for a notification.
#[test]
fn a_called_waiter_that_is_dropped_passes_on_what_it_was_called_for() {
    let (sender, mut receiver) = channel(1);
    sender.try_send(0).unwrap();
    let (mut a, mut b) = (Waiting::new(sender.send(1)), Waiting::new(sender.send(2)));
    assert!(a.poll().is_pending() && b.poll().is_pending());
    assert_eq!(receiver.try_recv(), Ok(0));
    drop(a);
    assert_eq!(b.bell.rung(), 1);
    assert_eq!(b.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(2), "what was not sent is not received");

    let notify = Notify::new();
    let (mut a, mut b) = (Waiting::new(notify.notified()), Waiting::new(notify.notified()));
    assert!(a.poll().is_pending() && b.poll().is_pending());
    notify.notify_one();
    drop(a);
    assert_eq!((b.bell.rung(), b.poll()), (1, Poll::Ready(())));

    // With nobody to pass it on to, it is kept.
    let mut c = Waiting::new(notify.notified());
    assert!(c.poll().is_pending());
    notify.notify_one();
    drop(c);
    assert!(Waiting::new(notify.notified()).poll().is_ready());
    assert!(Waiting::new(notify.notified()).poll().is_pending());
}

/// One notification is kept, however often there was nobody; also when two come back.
#[test]
fn a_notify_keeps_one_notification() {
    let notify = Notify::new();
    (0..3).for_each(|_| notify.notify_one());
    assert!(Waiting::new(notify.notified()).poll().is_ready());
    assert!(Waiting::new(notify.notified()).poll().is_pending());

    let (mut a, mut b) = (Waiting::new(notify.notified()), Waiting::new(notify.notified()));
    assert!(a.poll().is_pending() && b.poll().is_pending());
    (0..3).for_each(|_| notify.notify_one());
    drop((a, b));
    assert!(Waiting::new(notify.notified()).poll().is_ready());
    assert!(Waiting::new(notify.notified()).poll().is_pending());
}

/// All who asked before are notified, polled or not; who asks after that waits.
#[test]
fn all_are_notified_who_asked_before() {
    let notify = Notify::new();
    let mut polled = Waiting::new(notify.notified());
    let mut unpolled = Waiting::new(notify.notified());
    assert!(polled.poll().is_pending());
    notify.notify_waiters();
    let mut after = Waiting::new(notify.notified());
    assert_eq!((polled.bell.rung(), unpolled.bell.rung()), (1, 0));
    assert!(polled.poll().is_ready() && unpolled.poll().is_ready());
    assert!(after.poll().is_pending(), "nothing is kept for those who come later");

    // Dropped after that, nobody passes anything on: it was for all, and for none in particular.
    let mut dismissed = Waiting::new(notify.notified());
    assert!(dismissed.poll().is_pending());
    notify.notify_waiters();
    drop(dismissed);
    assert!(after.poll().is_ready());
    assert!(Waiting::new(notify.notified()).poll().is_pending());
}

/// Chosen by `notify_one` first and then among all, and dropped: the one is passed on.
#[test]
fn one_notification_survives_that_all_are_notified() {
    let notify = Notify::new();
    let mut chosen = Waiting::new(notify.notified());
    assert!(chosen.poll().is_pending());
    notify.notify_one();
    notify.notify_waiters();
    let mut later = Waiting::new(notify.notified());
    assert!(later.poll().is_pending());
    drop(chosen);
    assert_eq!((later.bell.rung(), later.poll()), (1, Poll::Ready(())));
}

/// Closing dismisses who waits; who was called before has its permit.
#[test]
fn a_semaphore_may_be_closed() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire().unwrap();
    let mut called = Waiting::new(semaphore.acquire());
    let mut waits = Waiting::new(semaphore.acquire());
    let mut unpolled = Waiting::new(semaphore.acquire());
    assert!(called.poll().is_pending() && waits.poll().is_pending());
    drop(permit);
    semaphore.close();
    assert_eq!((called.bell.rung(), waits.bell.rung()), (1, 1));
    assert!(called.poll().now().is_ok());
    assert_eq!(waits.poll().now().unwrap_err(), AcquireError);
    assert_eq!(unpolled.poll().now().unwrap_err(), AcquireError);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 0);
}

/// A permit that is forgotten is gone; one that is added is there.
#[test]
fn permits_may_be_forgotten_and_added() {
    let semaphore = Semaphore::new(2);
    semaphore.try_acquire().unwrap().forget();
    assert_eq!(semaphore.available_permits(), 1);
    semaphore.add_permits(3);
    assert_eq!(semaphore.available_permits(), 4);
    Semaphore::new(usize::MAX).add_permits(1);
}

/// A closed channel gives out what was sent before, and gives back what comes after.
#[test]
fn a_closed_channel_gives_back_and_gives_out() {
    let (sender, mut receiver) = channel(1);
    assert!(!sender.is_closed());
    sender.try_send(1).unwrap();
    let (mut called, mut waits) = (Waiting::new(sender.send(2)), Waiting::new(sender.send(3)));
    assert!(called.poll().is_pending() && waits.poll().is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    sender.try_send(9).unwrap_err();
    receiver.close();
    assert!(sender.is_closed());
    assert_eq!((called.bell.rung(), waits.bell.rung()), (1, 1));
    assert_eq!(waits.poll(), Poll::Ready(Err(SendError(3))));
    // It had room, but the channel was closed before it came to use it.
    assert_eq!(called.poll(), Poll::Ready(Err(SendError(2))));
    assert_eq!(sender.try_send(4), Err(TrySendError::Closed(4)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(block_on(receiver.recv()), None);

    let (sender, mut receiver) = unbounded();
    sender.send(1).unwrap();
    receiver.close();
    assert_eq!(sender.send(2), Err(SendError(2)));
    assert_eq!(block_on(receiver.recv()), Some(1));
    assert_eq!(block_on(receiver.recv()), None);
}

/// The last sender to go ends the wait of the receiver, and no other one does.
#[test]
fn the_last_sender_ends_the_wait() {
    let (sender, mut receiver) = channel::<u32>(1);
    let second = sender.clone();
    let mut recv = Waiting::new(receiver.recv());
    assert!(recv.poll().is_pending());
    drop(sender);
    assert_eq!((recv.bell.rung(), recv.poll()), (0, Poll::Pending));
    drop(second);
    assert_eq!((recv.bell.rung(), recv.poll()), (1, Poll::Ready(None)));
}

/// Whatever becomes of a message, it is dropped once.
#[test]
fn a_message_is_dropped_once() {
    let drops = Drops::default();
    let (sender, mut receiver) = channel(2);
    sender.try_send(drops.token()).unwrap();
    sender.try_send(drops.token()).unwrap();
    drop(sender.try_send(drops.token()));
    assert_eq!(drops.count(), 1, "given back");
    let mut waits = Waiting::new(sender.send(drops.token()));
    assert!(waits.poll().is_pending());
    drop(waits);
    assert_eq!(drops.count(), 2, "dropped with its future");
    drop(receiver.try_recv().unwrap());
    assert_eq!(drops.count(), 3, "received");
    drop(receiver);
    assert_eq!(drops.count(), 4, "dropped with the receiver");
    drop(sender.try_send(drops.token()).map_err(TrySendError::into_inner));
    assert_eq!(drops.count(), 5, "given back");
}

// ── Invariant 3: gone is gone ──

/// Who is dropped while it waits is not woken, and its waker is given up.
#[test]
fn who_has_gone_is_not_woken() {
    let semaphore = Semaphore::new(0);
    let mut waiting = (0..3).map(|_| Waiting::new(semaphore.acquire())).collect::<Vec<_>>();
    assert!(waiting.iter_mut().all(|waiting| waiting.poll().is_pending()));
    let gone = waiting.remove(1);
    let bell = gone.bell.clone();
    drop(gone);
    assert_eq!(Arc::strong_count(&bell), 1, "nobody keeps its waker");
    semaphore.add_permits(3);
    assert_eq!(bell.rung(), 0);
    assert!(waiting.iter_mut().all(|waiting| waiting.poll().is_ready()));
    assert_eq!(semaphore.available_permits(), 3);
}

/// Only the waker of the latest poll is woken.
#[test]
fn the_newest_waker_is_woken() {
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().unwrap();
    let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
    let mut lock = pin!(mutex.lock());
    for waker in [&waker_a, &waker_b] {
        assert!(lock.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert_eq!((Arc::strong_count(&a), Arc::strong_count(&b)), (2, 3));
    drop(guard);
    assert_eq!((a.rung(), b.rung()), (0, 1));
}

/// A hundred thousand come and go while one waits: it stands alone in the queue.
#[test]
fn who_comes_and_goes_leaves_nothing_behind() {
    let semaphore = Semaphore::new(0);
    let mut first = Waiting::new(semaphore.acquire());
    assert!(first.poll().is_pending());
    let mut last = Waiting::new(semaphore.acquire());
    for _ in 0..rounds(100_000) {
        assert!(last.poll().is_pending());
        last = Waiting::new(semaphore.acquire());
    }
    let text = format!("{semaphore:?}");
    assert_eq!(text.matches("Some(").count(), 1, "{text}");
}

// ── Invariant 4: unlocked ──

/// Who is woken may use what it was woken by, inside the wake.
#[test]
fn who_is_woken_may_use_it_at_once() {
    within(LIMIT, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let uses = semaphore.clone();
        let mut acquire = pin!(semaphore.acquire());
        let waker = waker_fn(move || drop(uses.try_acquire()));
        assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        semaphore.add_permits(1);
        assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());

        let mutex = Arc::new(Mutex::new(1));
        let uses = mutex.clone();
        let guard = mutex.try_lock().unwrap();
        let mut lock = pin!(mutex.lock());
        let waker = waker_fn(move || drop(uses.try_lock()));
        assert!(lock.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(guard);

        let notify = Arc::new(Notify::new());
        for all in [true, false] {
            let uses = notify.clone();
            let mut notified = pin!(notify.notified());
            let waker = waker_fn(move || uses.notify_waiters());
            assert!(notified.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            if all { notify.notify_waiters() } else { notify.notify_one() }
        }

        let (sender, receiver) = channel(1);
        let shared = Arc::new((sender, Lock::new(receiver)));
        let uses = Arc::downgrade(&shared);
        let waker = waker_fn(move || {
            let shared = uses.upgrade().expect("it is kept by the test");
            let _ = shared.0.try_send(2);
            let _ = shared.0.is_closed();
        });
        let mut send = pin!(shared.0.send(1));
        assert!(shared.1.lock().unwrap().poll_recv(&mut Context::from_waker(&waker)).is_pending());
        assert!(send.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        let mut send = pin!(shared.0.send(3));
        assert!(send.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        shared.1.lock().unwrap().close();
    });
}

/// A waker that is dropped may use what it was left in: when it is replaced, and when its owner goes.
#[test]
fn a_waker_may_use_it_when_it_is_dropped() {
    struct Uses(Arc<Semaphore>);
    impl Wake for Uses {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Uses {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }
    within(LIMIT, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let uses = || Waker::from(Arc::new(Uses(semaphore.clone())));
        let mut replaced = Box::pin(semaphore.acquire());
        assert!(replaced.as_mut().poll(&mut Context::from_waker(&uses())).is_pending());
        let mut gone = Box::pin(semaphore.acquire());
        assert!(gone.as_mut().poll(&mut Context::from_waker(&uses())).is_pending());
        assert!(replaced.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let permit = replaced.as_mut().poll(&mut Context::from_waker(Waker::noop())).now().unwrap();
        drop(gone);
        permit.forget();
        assert_eq!(semaphore.available_permits(), 1);
    });

    struct Sends(Sender<u32>);
    impl Wake for Sends {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Sends {
        fn drop(&mut self) {
            let _ = self.0.try_send(1);
        }
    }
    within(LIMIT, || {
        let (sender, mut receiver) = channel(1);
        let waker = Waker::from(Arc::new(Sends(sender)));
        assert!(receiver.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        // Replaced, it is dropped, and with it the last sender, which sends before it goes.
        let (bell, waker) = Bell::new();
        let mut poll = || receiver.poll_recv(&mut Context::from_waker(&waker));
        assert_eq!((poll(), bell.rung()), (Poll::Pending, 1));
        assert_eq!((poll(), poll()), (Poll::Ready(Some(1)), Poll::Ready(None)));
    });
}

/// To clone a waker is somebody else's code as well.
#[test]
fn a_waker_may_use_it_when_it_is_cloned() {
    within(LIMIT, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let uses = semaphore.clone();
        let (_, waker) = cloning(move || drop(uses.try_acquire()));
        let mut acquire = pin!(semaphore.acquire());
        assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    });
}

/// A message may own a sender or the receiver of its own channel.
#[test]
fn a_message_may_own_an_end_of_its_channel() {
    enum Message {
        Sender(#[allow(dead_code)] Sender<Message>),
        Nothing,
    }
    within(LIMIT, || {
        let (sender, receiver) = channel(4);
        assert!(sender.try_send(Message::Sender(sender.clone())).is_ok());
        assert!(sender.try_send(Message::Nothing).is_ok());
        drop(receiver);
        assert!(sender.is_closed());
    });
}

/// The waker of the first who waits panics: whoever else is meant is woken, and nothing is lost.
#[test]
fn a_panic_in_a_waker_harms_nobody_else() {
    let broken = waker_fn(|| panic!("in a waker"));
    let mut cx = Context::from_waker(&broken);

    let semaphore = Semaphore::new(0);
    let mut first = Box::pin(semaphore.acquire());
    let mut others = [(); 2].map(|()| Waiting::new(semaphore.acquire()));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert!(others.iter_mut().all(|other| other.poll().is_pending()));
    semaphore.add_permits(4);
    assert_eq!(others.each_ref().map(|other| other.bell.rung()), [1, 1]);
    let permits = others.each_mut().map(|other| other.poll().now().unwrap());
    let last = first.as_mut().poll(&mut cx).now().unwrap();
    assert_eq!(semaphore.available_permits(), 1);
    drop((permits, last));
    assert_eq!(semaphore.available_permits(), 4);

    let semaphore = Semaphore::new(0);
    let mut first = Box::pin(semaphore.acquire());
    let mut second = Waiting::new(semaphore.acquire());
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.poll().is_pending());
    semaphore.close();
    assert_eq!((second.bell.rung(), second.poll().now().is_err()), (1, true));

    let notify = Notify::new();
    let mut first = Box::pin(notify.notified());
    let mut second = Waiting::new(notify.notified());
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.poll().is_pending());
    notify.notify_waiters();
    assert_eq!((second.bell.rung(), second.poll()), (1, Poll::Ready(())));

    let (sender, mut receiver) = channel(1);
    sender.try_send(0).unwrap();
    let mut first = Box::pin(sender.send(1));
    let mut second = Waiting::new(sender.send(2));
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.poll().is_pending());
    receiver.close();
    assert_eq!((second.bell.rung(), second.poll()), (1, Poll::Ready(Err(SendError(2)))));

    // Who makes a change that wakes one is not the one who has to answer for its waker.
    let (sender, mut receiver) = channel(1);
    assert!(receiver.poll_recv(&mut cx).is_pending());
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(receiver.try_recv(), Ok(1));
}

/// Permits that are added are added at once: whoever is woken finds those that are left over.
#[test]
fn permits_are_added_at_once() {
    let semaphore = Arc::new(Semaphore::new(0));
    let (seen, uses) = (Arc::new(AtomicUsize::new(0)), semaphore.clone());
    let found = seen.clone();
    let waker = waker_fn(move || found.store(uses.available_permits(), Ordering::SeqCst));
    let mut acquire = Box::pin(semaphore.acquire());
    assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    semaphore.add_permits(3);
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    drop(acquire);
    assert_eq!(semaphore.available_permits(), 3);
    semaphore.add_permits(usize::MAX);
    assert_eq!(semaphore.available_permits(), usize::MAX);
}

// ── Invariant 5: once grown ──

/// Nothing is allocated for a message, whichever side waits.
#[test]
fn a_message_allocates_nothing() {
    let (sender, mut receiver) = channel(4);
    let (_bell, waker) = Bell::new();
    let mut exchange = |rounds| {
        for n in 0..rounds {
            let mut cx = Context::from_waker(&waker);
            assert!(receiver.poll_recv(&mut cx).is_pending());
            let mut sends = [n; 9].map(|n| sender.send(n));
            let mut sends = sends.each_mut().map(|send| {
                // SAFETY: the array stays where it is until it is dropped.
                unsafe { Pin::new_unchecked(send) }
            });
            let sent = sends.each_mut().map(|send| send.as_mut().poll(&mut cx).is_ready());
            assert_eq!(sent.iter().filter(|sent| **sent).count(), 4);
            for send in &mut sends[4..] {
                assert_eq!(receiver.poll_recv(&mut cx), Poll::Ready(Some(n)));
                assert!(send.as_mut().poll(&mut cx).is_ready());
            }
            (0..4).for_each(|_| assert_eq!(receiver.try_recv(), Ok(n)));
        }
    };
    exchange(1);
    assert_eq!(allocations(|| exchange(few(100))), 0);
}

/// Nor is for a message of a sink.
#[test]
fn a_message_of_a_sink_allocates_nothing() {
    let (first, mut receiver) = channel(1);
    let mut sinks = [first.clone(), first];
    let mut cx = Context::from_waker(Waker::noop());
    let mut exchange = |rounds| {
        for n in 0..rounds {
            let ready = sinks.each_mut().map(|sink| sink.poll_ready_unpin(&mut cx).is_ready());
            assert_eq!(ready, [true, false]);
            for sink in &mut sinks {
                assert!(sink.poll_ready_unpin(&mut cx).is_ready());
                sink.start_send_unpin(n).unwrap();
                assert_eq!(receiver.try_recv(), Ok(n));
            }
        }
    };
    exchange(1);
    assert_eq!(allocations(|| exchange(few(100))), 0);
}

/// The same for a wait for a mutex, a permit and a notification.
#[test]
fn a_wait_allocates_nothing() {
    let (mutex, semaphore, notify) = (Mutex::new(0), Semaphore::new(1), Notify::new());
    let (_bell, waker) = Bell::new();
    let wait = |rounds| {
        for _ in 0..rounds {
            let mut cx = Context::from_waker(&waker);
            let (guard, permit) = (mutex.try_lock().unwrap(), semaphore.try_acquire().unwrap());
            let (mut lock, mut acquire) = (pin!(mutex.lock()), pin!(semaphore.acquire()));
            let mut notified = pin!(notify.notified());
            assert!(lock.as_mut().poll(&mut cx).is_pending());
            assert!(acquire.as_mut().poll(&mut cx).is_pending());
            assert!(notified.as_mut().poll(&mut cx).is_pending());
            drop((guard, permit));
            notify.notify_one();
            *lock.as_mut().poll(&mut cx).now() += 1;
            assert!(acquire.as_mut().poll(&mut cx).now().is_ok());
            assert!(notified.as_mut().poll(&mut cx).is_ready());
        }
    };
    wait(1);
    assert_eq!(allocations(|| wait(few(100))), 0);
}

// ── Between threads ──

/// Four threads add to a number, and hold the guard across an await.
#[test]
fn a_mutex_between_threads() {
    within(6 * LIMIT, || {
        let mutex = Arc::new(Mutex::new(0));
        let each = rounds(10_000);
        let threads = [(); 4].map(|()| {
            let mutex = mutex.clone();
            thread::spawn(move || {
                block_on(async {
                    for _ in 0..each {
                        let mut guard = mutex.lock().await;
                        let before = *guard;
                        under_await::yield_now().await;
                        *guard = before + 1;
                    }
                });
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*mutex.try_lock().unwrap(), 4 * each);
    });
}

/// Four threads share two permits, and lose patience now and then: never more than two are in, and
/// both permits are there in the end.
#[test]
fn a_semaphore_between_threads_that_lose_patience() {
    within(6 * LIMIT, || {
        let shared = Arc::new((Semaphore::new(2), AtomicUsize::new(0)));
        let threads = [1, 2, 3, 4].map(|seed| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (semaphore, inside) = &*shared;
                let mut random = Random(seed);
                for _ in 0..rounds(20_000) {
                    let mut acquire = Box::pin(semaphore.acquire());
                    let first = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    if first.is_pending() && random.below(3) == 0 {
                        // Perhaps it has been called by now.
                        (0..random.below(100)).for_each(|_| std::hint::spin_loop());
                        continue;
                    }
                    let permit = match first {
                        Poll::Ready(permit) => permit,
                        Poll::Pending => block_on(acquire),
                    };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(shared.0.available_permits(), 2);
    });
}

/// Four threads send, one receives: everything arrives, what each sent in its order, and then the end.
#[test]
fn a_channel_between_threads() {
    within(6 * LIMIT, || {
        for room in [1, 3, 100] {
            let (sender, mut receiver) = channel(room);
            let each = rounds(10_000);
            let threads = [0, 1, 2, 3].map(|me| {
                let sender = sender.clone();
                thread::spawn(move || {
                    block_on(async {
                        for n in 0..each {
                            sender.send((me, n)).await.unwrap();
                        }
                    });
                })
            });
            drop(sender);
            let mut next = [0; 4];
            while let Some((me, n)) = block_on(receiver.recv()) {
                assert_eq!(n, next[me]);
                next[me] += 1;
            }
            assert_eq!(next, [each; 4]);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// Two threads notify each other in turn: one lost notification would stop it all.
#[test]
fn of_a_hundred_thousand_notifications_none_is_lost() {
    within(6 * LIMIT, || {
        let ends = Arc::new([Notify::new(), Notify::new()]);
        let turns = rounds(100_000);
        let other = ends.clone();
        let thread = thread::spawn(move || {
            for _ in 0..turns {
                block_on(other[0].notified());
                other[1].notify_one();
            }
        });
        for _ in 0..turns {
            ends[0].notify_one();
            block_on(ends[1].notified());
        }
        thread.join().unwrap();
    });
}

/// A flag, and all who wait for it: ask to be notified, look, wait. Nobody is left behind.
#[test]
fn all_who_looked_too_early_are_notified() {
    within(6 * LIMIT, || {
        for _ in 0..rounds(2_000) {
            let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
            let threads = [(); 3].map(|()| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let notified = shared.0.notified();
                    if shared.1.load(Ordering::SeqCst) == 0 {
                        block_on(notified);
                    }
                })
            });
            shared.1.store(1, Ordering::SeqCst);
            shared.0.notify_waiters();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// All of it may go to other threads and be shared between them, if what is in it may; and what waits
/// as well.
#[test]
fn all_of_it_is_send_and_sync() {
    fn both<T: Send + Sync>(_: &T) {}
    fn send<T: Send>(_: &T) {}
    fn unpin<T: Unpin>(_: &T) {}
    let semaphore = Semaphore::new(1);
    let mutex = Mutex::new(Cell::new(PhantomPinned));
    let (sender, mut receiver) = channel::<Cell<u32>>(1);
    let notify = Notify::new();
    both(&semaphore);
    both(&mutex);
    both(&sender);
    both(&receiver);
    both(&notify);
    send(&semaphore.acquire());
    send(&mutex.lock());
    send(&mutex.try_lock().unwrap());
    both(&Mutex::new(1).try_lock().unwrap());
    send(&sender.send(Cell::new(1)));
    send(&receiver.recv());
    send(&notify.notified());
    unpin(&receiver);
    both::<Option<UnboundedSender<Cell<u32>>>>(&None);
    let errors: [Box<dyn Error + Send + Sync>; 4] =
        [AcquireError.into(), TryLockError.into(), SendError(1).into(), TryRecvError::Empty.into()];
    let texts = errors.map(|error| error.to_string());
    let needed = [
        "the semaphore is closed",
        "the mutex is locked",
        "the channel is closed",
        "no message is there yet",
    ];
    assert_eq!(texts, needed);
}

/// A sender is a sink, as futures' are: it sends all of a stream, and ends the channel when it is closed.
#[test]
fn a_sender_is_a_sink() {
    within(LIMIT, || {
        for room in [1, 3, 1000] {
            let (mut sender, receiver) = channel(room);
            let sends = async {
                sender.send_all(&mut stream::iter(0..100).map(Ok)).await.unwrap();
                sender.close().await.unwrap();
                // It is still there, and belongs to no channel any more.
                assert!(sender.is_closed() && sender.clone().is_closed());
                assert_eq!(sender.send(100).await, Err(SendError(100)));
                assert_eq!(SinkExt::send(&mut sender, 100).await, Err(SendError(())));
            };
            let ((), received) = block_on(join(sends, receiver.collect::<Vec<_>>()));
            assert!(received.into_iter().eq(0..100));

            let (sender, receiver) = channel(room);
            let forwards = stream::iter(0..100).map(Ok).forward(sender);
            let (sent, received) = block_on(join(forwards, receiver.collect::<Vec<_>>()));
            assert_eq!(sent, Ok(()));
            assert!(received.into_iter().eq(0..100));
        }
        let (mut sender, receiver) = unbounded();
        let second = sender.clone();
        let sends = async {
            sender.send_all(&mut stream::iter(0..100).map(Ok)).await.unwrap();
            sender.close().await.unwrap();
            assert_eq!((sender.is_closed(), sender.send(100)), (true, Err(SendError(100))));
            assert_eq!((second.is_closed(), second.send(100)), (false, Ok(())));
            stream::iter(101..200).map(Ok).forward(second).await.unwrap();
        };
        let ((), received) = block_on(join(sends, receiver.collect::<Vec<_>>()));
        assert!(received.into_iter().eq(0..200));
    });
}

/// A sink has one place in the queue, among those who send, for as long as it is not ready. It keeps it
/// when the future that polled is dropped; and when it is dropped itself, it passes on what it has.
#[test]
fn a_sink_keeps_its_place_and_passes_on_its_room() {
    let (sender, mut receiver) = channel(1);
    sender.try_send(0).unwrap();
    let mut sink = sender.clone();
    let mut first = Waiting::new(SinkExt::send(&mut sink, 1));
    let mut second = Waiting::new(sender.send(2));
    let mut third = Waiting::new(sender.send(3));
    for _ in 0..3 {
        assert!(first.poll().is_pending() && second.poll().is_pending());
        assert!(third.poll().is_pending());
    }
    let bell = first.bell.clone();
    drop(first);
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!((bell.rung(), second.bell.rung(), third.bell.rung()), (1, 0, 0));
    // It has the room, and nobody else: asked twice, it has not got it twice.
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(sink.poll_ready_unpin(&mut cx), Poll::Ready(Ok(())));
    assert_eq!(sink.poll_ready_unpin(&mut cx), Poll::Ready(Ok(())));
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
    assert_eq!(sink.start_send_unpin(1), Ok(()));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!((second.bell.rung(), third.bell.rung()), (1, 0));
    assert_eq!(second.poll(), Poll::Ready(Ok(())));

    assert!(sink.poll_ready_unpin(&mut cx).is_pending());
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!((third.bell.rung(), third.poll()), (1, Poll::Ready(Ok(()))));
    assert_eq!(receiver.try_recv(), Ok(3));
    let mut fourth = Waiting::new(sender.send(4));
    assert!(fourth.poll().is_pending());
    // Called, and dropped before it hears of it.
    drop(sink);
    assert_eq!((fourth.bell.rung(), fourth.poll()), (1, Poll::Ready(Ok(()))));
}

/// A sink hears that the channel is closed, whether it waits, has room, or comes later.
#[test]
fn a_sink_hears_of_the_end() {
    let mut cx = Context::from_waker(Waker::noop());
    let (sender, mut receiver) = channel(1);
    let (mut has_room, mut later) = (sender.clone(), sender.clone());
    let mut waits = sender.clone();
    assert!(has_room.poll_ready_unpin(&mut cx).is_ready());
    let mut waiting = Waiting::new(SinkExt::send(&mut waits, 1));
    assert!(waiting.poll().is_pending());
    receiver.close();
    assert_eq!((waiting.bell.rung(), waiting.poll()), (1, Poll::Ready(Err(SendError(())))));
    assert_eq!(has_room.start_send_unpin(2), Err(SendError(())));
    assert_eq!(later.poll_ready_unpin(&mut cx), Poll::Ready(Err(SendError(()))));
    assert_eq!(block_on(receiver.recv()), None);

    let (mut sender, mut receiver) = unbounded();
    assert!(sender.poll_ready_unpin(&mut cx).is_ready());
    receiver.close();
    assert_eq!(sender.start_send_unpin(1), Err(SendError(())));
    assert_eq!(sender.poll_ready_unpin(&mut cx), Poll::Ready(Err(SendError(()))));
    assert_eq!(block_on(receiver.recv()), None);

    // The last to close ends the wait of the receiver, as the last to go does.
    let (mut sender, mut receiver) = channel::<u32>(1);
    let mut recv = Waiting::new(receiver.recv());
    assert!(recv.poll().is_pending());
    assert!(sender.poll_close_unpin(&mut cx).is_ready());
    assert_eq!((recv.bell.rung(), recv.poll()), (1, Poll::Ready(None)));
}

#[test]
#[should_panic(expected = "`poll_ready` is ready before `start_send`")]
fn a_sink_is_asked_before_it_sends() {
    let (mut sender, _receiver) = channel(1);
    let _ = sender.start_send_unpin(1);
}

/// A receiver is a stream, and ends when the senders have gone.
#[test]
fn a_receiver_is_a_stream() {
    let (sender, receiver) = unbounded();
    let second = sender.clone();
    sender.send(1).unwrap();
    second.send(2).unwrap();
    drop((sender, second));
    assert_eq!(block_on(receiver.map(|n| n * 10).collect::<Vec<_>>()), [10, 20]);
}

#[test]
fn a_receiver_that_is_gone_has_left_no_waker() {
    let (bell, waker) = Bell::new();
    let (sender, mut receiver) = channel::<u32>(1);
    assert!(receiver.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    drop((waker, receiver));
    assert_eq!(Arc::strong_count(&bell), 1);
    drop(sender);
    assert_eq!(bell.rung(), 0);
}

/// Invariant 4. To show a value would run its code under the lock.
#[test]
fn nothing_shows_a_value_under_the_lock() {
    struct Unshown;
    let mutex = Mutex::new(Unshown);
    let ((sender, receiver), (unbounded, _)) = (channel::<Unshown>(1), unbounded::<Unshown>());
    assert_eq!(format!("{mutex:?} {sender:?} {unbounded:?} {receiver:?}").matches("..").count(), 4);
    assert_eq!(format!("{:?}", Mutex::new("shown").try_lock().unwrap()), r#""shown""#);
    drop(receiver);
    let error: Box<dyn Error> = Box::new(sender.try_send(Unshown).unwrap_err());
    assert_eq!(format!("{error:?}: {error}"), "Closed(..): the channel is closed");
    let error = block_on(sender.send(Unshown)).unwrap_err();
    assert_eq!(format!("{error:?}: {error}"), "SendError(..): the channel is closed");
    assert_eq!(Mutex::<u32>::default().into_inner(), 0);
}

#[test]
#[should_panic(expected = "room for a message")]
fn a_channel_without_room_is_refused() {
    channel::<u32>(0);
}

// ── The budget ──

/// A permit that is always there, a mutex that nobody else wants, and a channel that another thread fills
/// as fast as it is emptied: a task that takes them in a loop gives way after 128 of them.
#[cfg(all(unix, not(miri)))] // Layer 11's reactor.
#[test]
fn what_is_always_ready_starves_nobody() {
    use std::rc::Rc;

    within(LIMIT, || {
        let beside = |work: Pin<Box<dyn Future<Output = ()>>>, done: Rc<Cell<u32>>| {
            under_await::block_on(async move {
                let task = under_await::spawn(work);
                // What the task before has left over is not of this one.
                done.take();
                let mut most = 0;
                while !task.is_finished() {
                    most = most.max(done.take());
                    under_await::yield_now().await;
                }
                assert!((100..=128).contains(&most), "{most} operations in one poll");
            });
        };
        let done = Rc::new(Cell::new(0));
        let count = |done: &Rc<Cell<u32>>| done.set(done.get() + 1);

        let (semaphore, counter) = (Semaphore::new(1), done.clone());
        beside(
            Box::pin(async move {
                for _ in 0..1000 {
                    drop(semaphore.acquire().await.unwrap());
                    count(&counter);
                }
            }),
            done.clone(),
        );
        let (mutex, counter) = (Mutex::new(()), done.clone());
        beside(
            Box::pin(async move {
                for _ in 0..1000 {
                    drop(mutex.lock().await);
                    count(&counter);
                }
            }),
            done.clone(),
        );
        let ((sender, mut receiver), counter) = (unbounded(), done.clone());
        (0..1000).for_each(|n| sender.send(n).unwrap());
        drop(sender);
        beside(
            Box::pin(async move {
                while receiver.recv().await.is_some() {
                    count(&counter);
                }
            }),
            done.clone(),
        );
        let ((sender, receiver), counter) = (channel(1000), done.clone());
        beside(
            Box::pin(async move {
                for n in 0..1000 {
                    sender.send(n).await.unwrap();
                    count(&counter);
                }
                drop(receiver);
            }),
            done.clone(),
        );
        let (notify, counter) = (Notify::new(), done.clone());
        beside(
            Box::pin(async move {
                for _ in 0..1000 {
                    notify.notify_one();
                    notify.notified().await;
                    count(&counter);
                }
            }),
            done.clone(),
        );
        let ((mut sender, receiver), counter) = (unbounded(), done.clone());
        beside(
            Box::pin(async move {
                for n in 0..1000 {
                    SinkExt::send(&mut sender, n).await.unwrap();
                    count(&counter);
                }
                drop(receiver);
            }),
            done.clone(),
        );
    });
}

/// Of three branches, two could use up each poll. The third wants one operation now and then, and gets
/// them, in whatever they are joined and wherever it stands.
#[cfg(all(unix, not(miri)))]
#[test]
fn a_branch_leaves_some_of_the_budget_to_the_others() {
    /// Takes permits until it is told to stop: how many.
    async fn greedy(stop: &Cell<bool>) -> u32 {
        let semaphore = Semaphore::new(1);
        let mut taken = 0;
        while !stop.get() && taken < 100_000 {
            drop(semaphore.acquire().await.unwrap());
            taken += 1;
        }
        taken
    }

    /// Takes ten permits, each after a turn of waiting, and then tells the others.
    async fn modest(stop: &Cell<bool>) -> u32 {
        let semaphore = Semaphore::new(1);
        for _ in 0..10 {
            under_await::yield_now().await;
            drop(semaphore.acquire().await.unwrap());
        }
        stop.set(true);
        0
    }

    /// `joined` ran with `stop`: were the greedy stopped in time?
    fn check<T: Into<Vec<u32>>>(name: &str, joined: impl AsyncFnOnce(&Cell<bool>) -> T) {
        let taken = under_await::block_on(joined(&Cell::new(false))).into();
        let most = taken.iter().max().unwrap();
        assert!(*most <= 128 * 60, "{name}: {taken:?} operations beside ten");
    }

    within(LIMIT, || {
        check("join!", async |stop| {
            let (a, b, c) = under_await::join!(greedy(stop), modest(stop), greedy(stop));
            [a, b, c]
        });
        check("join!, the last", async |stop| {
            let (a, b, c) = under_await::join!(greedy(stop), greedy(stop), modest(stop));
            [a, b, c]
        });
        check("try_join!", async |stop| {
            let first = async { Ok::<_, ()>(greedy(stop).await) };
            let second = async { Ok(greedy(stop).await) };
            let third = async { Ok(modest(stop).await) };
            let (a, b, c) = under_await::try_join!(first, second, third).unwrap();
            [a, b, c]
        });
        check("join_all", async |stop| {
            let all: [Pin<Box<dyn Future<Output = u32>>>; 3] =
                [Box::pin(greedy(stop)), Box::pin(greedy(stop)), Box::pin(modest(stop))];
            under_await::join_all(all).await
        });
        check("race", async |stop| {
            let taken = Cell::new(0);
            under_await::race(async { taken.set(greedy(stop).await) }, modest(stop)).await;
            [taken.get()]
        });
        check("select!", async |stop| {
            under_await::select! {
                biased;
                taken = greedy(stop) => [taken],
                none = modest(stop) => [none],
            }
        });
    });
}
