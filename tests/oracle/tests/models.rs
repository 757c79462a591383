//! Layer 14 beside models of it, and layer 5's oneshot: what each of them answers, and whom it wakes, in
//! walks of 10,000 random steps.
//!
//! A walk that goes wrong is cut down before it is shown.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

use support::{Bell, Waiting};
use under_await::ch14_sync::{
    Mutex, MutexGuard, Notify, Semaphore, SemaphorePermit, SendError, Sender, TryAcquireError,
    TryRecvError, TrySendError, channel, unbounded,
};
use under_await::sync::oneshot::{self, RecvError};

#[allow(unused)]
#[path = "../../support/mod.rs"]
mod support;

/// How it should be with a wait list, as plainly as can be said. Who waits has a number, which is the
/// place of its future in the walk.
#[derive(Debug, Default)]
struct Model {
    spare: usize,
    most: usize,
    waiting: Vec<usize>,
    called: Vec<usize>,
    dismissed: Vec<usize>,
    /// Who is woken in this step.
    woken: Vec<usize>,
}

impl Model {
    /// `who` asks: called, dismissed, or to wait.
    fn ask(&mut self, who: usize) -> Poll<bool> {
        for (list, called) in [(&mut self.called, true), (&mut self.dismissed, false)] {
            if take(list, who) {
                return Poll::Ready(called);
            }
        }
        if self.waiting.contains(&who) {
            return Poll::Pending;
        }
        let turn = self.enter();
        if turn.is_pending() {
            self.waiting.push(who);
        }
        turn
    }

    /// Somebody without a place asks.
    fn enter(&mut self) -> Poll<bool> {
        match (self.most, self.spare) {
            (0, _) => Poll::Ready(false),
            (_, 0) => Poll::Pending,
            _ => {
                self.spare -= 1;
                Poll::Ready(true)
            }
        }
    }

    fn call(&mut self) {
        if self.waiting.is_empty() {
            self.spare = (self.spare + 1).min(self.most);
        } else {
            let first = self.waiting.remove(0);
            self.called.push(first);
            self.woken.push(first);
        }
    }

    fn leave(&mut self, who: usize) {
        take(&mut self.waiting, who);
        take(&mut self.dismissed, who);
        if take(&mut self.called, who) {
            self.call();
        }
    }

    fn dismiss(&mut self) {
        self.woken.extend(&self.waiting);
        self.dismissed.append(&mut self.waiting);
    }

    fn close(&mut self) {
        (self.most, self.spare) = (0, 0);
        self.dismiss();
    }
}

/// Takes `who` out of `list`, if it is there.
fn take(list: &mut Vec<usize>, who: usize) -> bool {
    let place = list.iter().position(|one| *one == who);
    place.map(|place| list.remove(place)).is_some()
}

/// How many futures a walk has at once.
const FUTURES: usize = 6;

/// The same walks in every run: a test that fails now and then helps nobody.
fn walks() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(14),
        failure_persistence: None,
        max_shrink_time: 30_000,
        max_shrink_iters: u32::MAX,
        ..ProptestConfig::with_cases(8)
    }
}

/// One of the futures.
fn who() -> impl Strategy<Value = usize> + Clone {
    0..FUTURES
}

/// A walk: 10,000 of these steps. Among the last hundred may be the `end`, after which little happens.
fn steps<S: Clone + Debug>(
    step: impl Strategy<Value = S> + Clone,
    end: S,
) -> impl Strategy<Value = Vec<S>> {
    let to_the_end = vec(prop_oneof![39 => step.clone(), 1 => Just(end)], 100);
    (vec(step, 9_900), to_the_end).prop_map(|(steps, rest)| [steps, rest].concat())
}

/// The numbers of the futures whose wakers were woken since the last time.
fn woken<F>(slots: &[Option<Waiting<F>>]) -> Vec<usize> {
    let rung = |slot: &Option<Waiting<F>>| slot.as_ref().map_or(0, |waiting| waiting.bell.rung());
    (0..slots.len()).flat_map(|n| std::vec![n; rung(&slots[n]) as usize]).collect()
}

/// The answer of a poll as the model gives it.
fn answered<T>(answer: &Poll<Option<T>>) -> Poll<bool> {
    match answer {
        Poll::Ready(got) => Poll::Ready(got.is_some()),
        Poll::Pending => Poll::Pending,
    }
}

/// Those who were woken in this step are those of the model.
fn same(woken: &[usize], model: &mut Model) {
    let mut expected = mem::take(&mut model.woken);
    expected.sort_unstable();
    assert_eq!(woken, expected, "were woken; after that: {model:?}");
}

// ── Semaphore ──

/// What may happen to a semaphore.
#[derive(Clone, Debug)]
enum WithPermits {
    Ask(usize),
    Leave(usize),
    GiveBack(Index),
    Try,
    Forget,
    Add(usize),
    Close,
}

fn with_permits() -> impl Strategy<Value = WithPermits> + Clone {
    use WithPermits::*;
    prop_oneof![
        15 => who().prop_map(Ask),
        5 => who().prop_map(Leave),
        14 => any::<Index>().prop_map(GiveBack),
        2 => Just(Try),
        1 => Just(Forget),
        1 => (0..3usize).prop_map(Add),
    ]
}

proptest! {
    #![proptest_config(walks())]

    #[test]
    fn a_semaphore_is_as_the_model_says(
        permits in 0..4usize,
        steps in steps(with_permits(), WithPermits::Close),
    ) {
        let semaphore = Semaphore::new(permits);
        let mut model = Model { spare: permits, most: usize::MAX, ..Model::default() };
        let mut slots = [const { None }; FUTURES];
        let mut held: Vec<SemaphorePermit<'_>> = Vec::new();
        for step in steps {
            match step {
                WithPermits::Ask(n) => {
                    let slot = slots[n].get_or_insert_with(|| Waiting::new(semaphore.acquire()));
                    let permit = slot.poll().map(Result::ok);
                    assert_eq!(answered(&permit), model.ask(n));
                    if let Poll::Ready(permit) = permit {
                        slots[n] = None;
                        held.extend(permit);
                    }
                }
                WithPermits::Leave(n) => {
                    slots[n] = None;
                    model.leave(n);
                }
                WithPermits::GiveBack(which) => {
                    if !held.is_empty() {
                        drop(held.swap_remove(which.index(held.len())));
                        model.call();
                    }
                }
                WithPermits::Try => {
                    let permit = semaphore.try_acquire();
                    let expected = match model.enter() {
                        Poll::Ready(true) => Ok(()),
                        Poll::Ready(false) => Err(TryAcquireError::Closed),
                        Poll::Pending => Err(TryAcquireError::NoPermits),
                    };
                    assert_eq!(permit.as_ref().map(drop).map_err(|error| *error), expected);
                    held.extend(permit);
                }
                // The last one stays: without any, nothing happens any more.
                WithPermits::Forget => {
                    if held.len() > 1 {
                        held.swap_remove(0).forget();
                    }
                }
                WithPermits::Add(n) => {
                    semaphore.add_permits(n);
                    (0..n).for_each(|_| model.call());
                }
                WithPermits::Close => {
                    semaphore.close();
                    model.close();
                }
            }
            same(&woken(&slots), &mut model);
            assert_eq!(semaphore.available_permits(), model.spare);
        }
    }
}

// ── Mutex ──

/// What may happen to a mutex.
#[derive(Clone, Debug)]
enum WithLock {
    Ask(usize),
    Leave(usize),
    Unlock,
    Try,
}

fn with_lock() -> impl Strategy<Value = WithLock> + Clone {
    use WithLock::*;
    prop_oneof![
        5 => who().prop_map(Ask),
        2 => who().prop_map(Leave),
        2 => Just(Unlock),
        1 => Just(Try),
    ]
}

proptest! {
    #![proptest_config(walks())]

    #[test]
    fn a_mutex_is_as_the_model_says(steps in vec(with_lock(), 10_000)) {
        let mutex = Mutex::new(0);
        let mut model = Model { spare: 1, most: 1, ..Model::default() };
        let mut slots = [const { None }; FUTURES];
        let mut guard: Option<MutexGuard<'_, usize>> = None;
        let mut locked = 0;
        for step in steps {
            match step {
                WithLock::Ask(n) => {
                    let slot = slots[n].get_or_insert_with(|| Waiting::new(mutex.lock()));
                    let got = slot.poll().map(Some);
                    assert_eq!(answered(&got), model.ask(n));
                    if let Poll::Ready(got) = got {
                        slots[n] = None;
                        assert!(guard.is_none(), "two have it");
                        guard = got;
                    }
                }
                WithLock::Leave(n) => {
                    slots[n] = None;
                    model.leave(n);
                }
                WithLock::Unlock => {
                    if let Some(mut guard) = guard.take() {
                        *guard += 1;
                        locked += 1;
                        drop(guard);
                        model.call();
                    }
                }
                WithLock::Try => {
                    let got = mutex.try_lock().ok();
                    assert_eq!(got.is_some(), model.enter().is_ready());
                    guard = guard.or(got);
                }
            }
            same(&woken(&slots), &mut model);
        }
        slots.fill_with(|| None);
        drop(guard);
        assert_eq!(*mutex.try_lock().unwrap(), locked);
    }
}

// ── Notify ──

/// What may happen to a `Notify`.
#[derive(Clone, Debug)]
enum WithNews {
    Begin(usize),
    Ask(usize),
    Leave(usize),
    NotifyOne,
    NotifyWaiters,
}

fn with_news() -> impl Strategy<Value = WithNews> + Clone {
    use WithNews::*;
    prop_oneof![
        3 => who().prop_map(Begin),
        7 => who().prop_map(Ask),
        3 => who().prop_map(Leave),
        5 => Just(NotifyOne),
        1 => Just(NotifyWaiters),
    ]
}

proptest! {
    #![proptest_config(walks())]

    #[test]
    fn a_notify_is_as_the_model_says(steps in vec(with_news(), 10_000)) {
        let notify = Notify::new();
        let mut model = Model { most: 1, ..Model::default() };
        let mut slots = [const { None }; FUTURES];
        let mut unpolled = Vec::new();
        for step in steps {
            match step {
                WithNews::Begin(n) => {
                    if slots[n].is_none() {
                        slots[n] = Some(Waiting::new(notify.notified()));
                        unpolled.push(n);
                    }
                }
                WithNews::Ask(n) => {
                    if let Some(slot) = &mut slots[n] {
                        take(&mut unpolled, n);
                        let answer = slot.poll();
                        assert_eq!(answer, model.ask(n).map(drop));
                        if answer.is_ready() {
                            slots[n] = None;
                        }
                    }
                }
                WithNews::Leave(n) => {
                    slots[n] = None;
                    take(&mut unpolled, n);
                    model.leave(n);
                }
                WithNews::NotifyOne => {
                    notify.notify_one();
                    model.call();
                }
                WithNews::NotifyWaiters => {
                    notify.notify_waiters();
                    model.dismiss();
                    model.dismissed.append(&mut unpolled);
                }
            }
            same(&woken(&slots), &mut model);
        }
    }
}

// ── Channel ──

/// What may happen to a channel.
#[derive(Clone, Debug)]
enum WithMessages {
    Send(usize),
    Leave(usize),
    TrySend,
    Receive,
    CloneSender,
    DropSender,
    DropEverySender,
    Close,
}

fn with_messages() -> impl Strategy<Value = WithMessages> + Clone {
    use WithMessages::*;
    prop_oneof![
        18 => who().prop_map(Send),
        4 => who().prop_map(Leave),
        4 => Just(TrySend),
        18 => Just(Receive),
        1 => Just(CloneSender),
        1 => Just(DropSender),
    ]
}

proptest! {
    #![proptest_config(walks())]

    #[test]
    fn a_channel_is_as_the_model_says(
        room in 1..5usize,
        steps in prop_oneof![
            steps(with_messages(), WithMessages::Close),
            steps(with_messages(), WithMessages::DropEverySender),
        ],
    ) {
        let (first, mut receiver) = channel(room);
        let mut senders = std::vec![first];
        let (bell, waker) = Bell::new();
        let mut model = Model { spare: room, most: room, ..Model::default() };
        let mut queue = VecDeque::new();
        // Whether the receiver has left its waker.
        let mut waits = false;
        let mut slots = [const { None }; FUTURES];
        let mut values = [0; FUTURES];
        for (number, step) in steps.into_iter().enumerate() {
            let (was_waiting, was_open, mut sent) = (waits, !senders.is_empty() || slots.iter().any(Option::is_some), false);
            match step {
                WithMessages::Send(n) => {
                    if slots[n].is_none() {
                        let Some(sender) = senders.first().cloned() else { continue };
                        values[n] = number;
                        slots[n] = Some(Waiting::new(async move { sender.send(number).await }));
                    }
                    let (value, closed) = (values[n], model.most == 0);
                    let answer = slots[n].as_mut().unwrap().poll();
                    let expected = model.ask(n).map(|called| match called && !closed {
                        true => Ok(()),
                        false => Err(SendError(value)),
                    });
                    assert_eq!(answer, expected);
                    if answer.is_ready() {
                        slots[n] = None;
                    }
                    if answer == Poll::Ready(Ok(())) {
                        queue.push_back(value);
                        sent = true;
                    }
                }
                WithMessages::Leave(n) => {
                    slots[n] = None;
                    model.leave(n);
                }
                WithMessages::TrySend => {
                    let Some(sender) = senders.last() else { continue };
                    let expected = match model.enter() {
                        Poll::Ready(true) => Ok(()),
                        Poll::Ready(false) => Err(TrySendError::Closed(number)),
                        Poll::Pending => Err(TrySendError::Full(number)),
                    };
                    assert_eq!(sender.try_send(number), expected);
                    if expected.is_ok() {
                        queue.push_back(number);
                        sent = true;
                    }
                }
                WithMessages::Receive => {
                    let answer = receiver.poll_recv(&mut Context::from_waker(&waker));
                    let expected = match queue.pop_front() {
                        Some(message) => {
                            model.call();
                            Poll::Ready(Some(message))
                        }
                        None if model.most == 0 || !was_open => Poll::Ready(None),
                        None => Poll::Pending,
                    };
                    assert_eq!(answer, expected);
                    // Its waker stays until it is woken, whether or not it waits any longer.
                    waits |= answer.is_pending();
                }
                WithMessages::CloneSender => {
                    senders.extend(senders.first().cloned().filter(|_| senders.len() < 4));
                }
                WithMessages::DropSender => {
                    if senders.len() > 1 {
                        senders.pop();
                    }
                }
                WithMessages::DropEverySender => senders.clear(),
                WithMessages::Close => {
                    receiver.close();
                    model.close();
                }
            }
            let is_open = !senders.is_empty() || slots.iter().any(Option::is_some);
            let rings = was_waiting && (sent || was_open && !is_open);
            waits &= !rings;
            assert_eq!(bell.rung(), u32::from(rings), "so often the receiver was woken");
            same(&woken(&slots), &mut model);
        }
        drop(receiver);
        assert!(senders.iter().all(Sender::is_closed));
    }
}

// ── Unbounded channel ──

/// What may happen to an unbounded channel.
#[derive(Clone, Debug)]
enum WithoutBound {
    Send(Index),
    Receive,
    TryReceive,
    CloneSender(Index),
    DropSender(Index),
    DropEverySender,
    Close,
}

fn without_bound() -> impl Strategy<Value = WithoutBound> + Clone {
    use WithoutBound::*;
    // More is received than sent, so that it is empty now and then.
    prop_oneof![
        15 => any::<Index>().prop_map(Send),
        20 => Just(Receive),
        5 => Just(TryReceive),
        2 => any::<Index>().prop_map(CloneSender),
        2 => any::<Index>().prop_map(DropSender),
    ]
}

proptest! {
    #![proptest_config(walks())]

    #[test]
    fn an_unbounded_channel_is_as_the_model_says(
        steps in prop_oneof![
            steps(without_bound(), WithoutBound::Close),
            steps(without_bound(), WithoutBound::DropEverySender),
        ],
    ) {
        let (first, mut receiver) = unbounded();
        let mut senders = std::vec![first];
        let (bell, waker) = Bell::new();
        let mut queue = VecDeque::new();
        let (mut waits, mut closed) = (false, false);
        for (number, step) in steps.into_iter().enumerate() {
            // Only the end takes the last one.
            let last = senders.len() == 1;
            let mut rings = false;
            match step {
                WithoutBound::Send(which) => {
                    let Some(sender) = any_of(&senders, which) else { continue };
                    let expected = if closed { Err(SendError(number)) } else { Ok(()) };
                    assert_eq!(senders[sender].send(number), expected);
                    assert_eq!(senders[sender].is_closed(), closed);
                    if !closed {
                        queue.push_back(number);
                        rings = true;
                    }
                }
                WithoutBound::Receive => {
                    let answer = receiver.poll_recv(&mut Context::from_waker(&waker));
                    let expected = match queue.pop_front() {
                        None if !closed && !senders.is_empty() => Poll::Pending,
                        message => Poll::Ready(message),
                    };
                    assert_eq!(answer, expected);
                    waits |= answer.is_pending();
                }
                WithoutBound::TryReceive => {
                    let none = match closed || senders.is_empty() {
                        true => TryRecvError::Disconnected,
                        false => TryRecvError::Empty,
                    };
                    assert_eq!(receiver.try_recv(), queue.pop_front().ok_or(none));
                }
                WithoutBound::CloneSender(which) => {
                    let Some(sender) = any_of(&senders, which) else { continue };
                    if senders.len() < 4 {
                        senders.push(senders[sender].clone());
                    }
                }
                WithoutBound::DropSender(which) => {
                    let Some(sender) = any_of(&senders, which) else { continue };
                    if !last {
                        senders.swap_remove(sender);
                    }
                }
                WithoutBound::DropEverySender => {
                    rings = !senders.is_empty();
                    senders.clear();
                }
                WithoutBound::Close => {
                    receiver.close();
                    closed = true;
                }
            }
            rings &= waits;
            waits &= !rings;
            assert_eq!(bell.rung(), u32::from(rings), "so often the receiver was woken");
            // Its waker is kept as long as it may be woken.
            assert_eq!(Arc::strong_count(&bell) - 2, usize::from(waits));
        }
    }
}

/// The number of one of them, if there are any.
fn any_of<T>(all: &[T], which: Index) -> Option<usize> {
    (!all.is_empty()).then(|| which.index(all.len()))
}

// ── Oneshot ──

/// What may happen to a oneshot channel, or to the next one.
#[derive(Clone, Debug)]
enum WithOneValue {
    /// In this task.
    Ask(usize),
    Send,
    LookForReceiver,
    DropSender,
    DropReceiver,
    Renew,
}

fn with_one_value() -> impl Strategy<Value = WithOneValue> + Clone {
    use WithOneValue::*;
    prop_oneof![
        8 => (0..2usize).prop_map(Ask),
        2 => Just(Send),
        1 => Just(LookForReceiver),
        1 => Just(DropSender),
        1 => Just(DropReceiver),
        3 => Just(Renew),
    ]
}

proptest! {
    #![proptest_config(walks())]

    #[test]
    fn a_oneshot_is_as_the_model_says(steps in vec(with_one_value(), 10_000)) {
        let bells = [Bell::new(), Bell::new()];
        // Each value that is there has a share in this.
        let values = Arc::new(());
        let (first, second) = oneshot::channel();
        let (mut sender, mut receiver) = (Some(first), Some(second));
        // What the receiver will hear, and the task that waits for it.
        let (mut end, mut waits) = (None, None);
        for (number, step) in steps.into_iter().enumerate() {
            let mut woken = None;
            match step {
                WithOneValue::Ask(task) => {
                    let Some(asked) = &mut receiver else { continue };
                    let answer = Pin::new(asked).poll(&mut Context::from_waker(&bells[task].1));
                    assert_eq!(answer, end.take().map_or(Poll::Pending, Poll::Ready));
                    match answer {
                        Poll::Ready(_) => receiver = None,
                        Poll::Pending => waits = Some(task),
                    }
                }
                WithOneValue::Send => {
                    let Some(sender) = sender.take() else { continue };
                    let value = (number, values.clone());
                    let expected = if receiver.is_some() { Ok(()) } else { Err(value.clone()) };
                    assert_eq!(sender.send(value.clone()), expected);
                    if receiver.is_some() {
                        end = Some(Ok(value));
                        woken = waits.take();
                    }
                }
                WithOneValue::LookForReceiver => {
                    let Some(sender) = &sender else { continue };
                    assert_eq!(sender.is_closed(), receiver.is_none());
                }
                WithOneValue::DropSender => {
                    if sender.take().is_some() && receiver.is_some() {
                        end = Some(Err(RecvError));
                        woken = waits.take();
                    }
                }
                WithOneValue::DropReceiver => (receiver, end, waits) = (None, None, None),
                WithOneValue::Renew => {
                    // The old sender goes first, and is heard, before its receiver is gone.
                    if sender.take().is_some() {
                        woken = waits.take();
                    }
                    let new = oneshot::channel();
                    (sender, receiver, end, waits) = (Some(new.0), Some(new.1), None, None);
                }
            }
            for (task, (bell, _)) in bells.iter().enumerate() {
                assert_eq!(bell.rung(), u32::from(woken == Some(task)), "task {task} was woken");
                let kept = Arc::strong_count(bell) - 2;
                assert_eq!(kept, usize::from(waits == Some(task)), "wakers of task {task} kept");
            }
            // The model has a clone of its own.
            let there = usize::from(matches!(end, Some(Ok(_))));
            assert_eq!(Arc::strong_count(&values) - 1, 2 * there, "values that are there");
        }
    }
}
