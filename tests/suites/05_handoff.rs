// The checks of chapter 5. `subject` is the code under examination.

use std::future::poll_fn;
use std::mem;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender as Signal};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use under_await::ch04_park::block_on;
use under_await::ledger::watch;

use crate::support::schedules::{Actor, Order, Orders, actor, every_order, point, wait_until};
use crate::support::{
    Bell, DropToken, Drops, Event, checks, ensure, fail, ledger, many, panics, scaled,
};

use subject::extend::{LocklessCell, line};
use subject::{Receiver, RecvError, Sender, WakerCell, oneshot, thread_sleep};

checks! {
    /// A receiver that answers `Pending` has kept a clone of the waker.
    "5.1" fn keeps_the_waker() {
        let (sender, mut receiver) = oneshot::<u32>();
        keep(sender);
        let (bell, waker) = Bell::new();
        pending(&mut receiver, &waker);
        ensure!(
            owners(&bell) > 0,
            "never-woken",
            "The receiver answered `Pending`, and the waker has as many owners as before: nobody \
             has kept a clone of it. One is needed."
        );
    }

    /// Another poll replaces the waker of the poll before.
    "5.1" fn keeps_the_newest_waker() {
        let (sender, mut receiver) = oneshot::<u32>();
        keep(sender);
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        pending(&mut receiver, &waker_a);
        pending(&mut receiver, &waker_b);
        ensure!(
            owners(&b) > 0,
            "old-waker",
            "Polled with the waker of task A and then with that of task B, the receiver keeps ({}, 0) \
             clones of the two. Needed: (0, 1).", owners(&a)
        );
        ensure!(
            owners(&a) == 0,
            "leak",
            "Polled with the waker of task A and then with that of task B, the receiver keeps \
             clones of both. One place, for the newest, is enough."
        );
        (0..100).for_each(|_| pending(&mut receiver, &waker_b));
        let kept = owners(&b);
        ensure!(kept == 1, "leak", "After 101 polls with the same waker it has kept {kept} clones.");
    }

    /// A waker that is replaced is dropped when the lock is free: who knows what it owns.
    "5.1" fn drops_the_older_waker_unlocked() {
        let (sender, mut receiver) = oneshot::<u32>();
        let sender = mem::ManuallyDrop::new(Arc::new(sender));
        let asks = Arc::clone(&sender);
        pending(&mut receiver, &meddler(Moment::Drop, "`is_closed`", move || {
            asks.is_closed();
        }));
        pending(&mut receiver, Waker::noop());
    }

    /// A value that is sent from another thread arrives.
    "5.2" fn woken_by_another_thread() {
        let (sender, receiver) = oneshot();
        let helper = in_a_while(move || sender.send("hello"));
        let output = block_on(watch("receiver", receiver));
        ensure!(output == Ok("hello"), "wrong-result", "\"hello\" was sent; {output:?} arrived.");
        let sent = helper.join().expect("`send` does not panic");
        ensure!(sent == Ok(()), "wrong-result", "The value arrived, and `send` gave {sent:?}.");
        let polls = ledger().count(Event::Poll);
        ensure!(polls <= 3, "busy-poll", "One wait took {polls} polls; 2 are enough.");
    }

    /// A value that was sent before the first poll is there at the first poll.
    "5.2" fn sent_before_the_first_poll() {
        let (sender, mut receiver) = oneshot();
        let sent = sender.send("early");
        ensure!(sent == Ok(()), "wrong-result", "The receiver was there, and `send` gave {sent:?}.");
        let answer = poll(&mut receiver, Waker::noop());
        ensure!(
            answer == Poll::Ready(Ok("early")),
            "wrong-result",
            "\"early\" was sent before the first poll, which gave {answer:?}."
        );
    }

    /// Sending wakes the waker of the latest poll, once, and no other.
    "5.2" fn wakes_the_newest_and_no_other() {
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        for (how, send) in [("`send`", true), ("dropping the sender", false)] {
            let (sender, mut receiver) = oneshot();
            pending(&mut receiver, &waker_a);
            pending(&mut receiver, &waker_b);
            complete(sender, send);
            let rung = (a.rung(), b.rung());
            ensure!(
                rung != (1, 0),
                "old-waker",
                "Polled with the waker of task A and then with that of task B. After {how}, A was \
                 woken and B was not. It is needed the other way round."
            );
            ensure!(
                rung.1 > 0,
                "never-woken",
                "The receiver had answered `Pending`, and after {how} its task was woken 0 times. \
                 1 is needed."
            );
            ensure!(
                rung == (0, 1),
                "wrong-wake",
                "Polled with the waker of task A and then with that of task B. After {how}, they \
                 were woken {rung:?} times. Needed: (0, 1)."
            );
        }
    }

    /// Polled in one task and then moved into another, it still completes.
    "5.2" fn moved_into_another_task() {
        let (sender, mut receiver) = oneshot();
        let ledger = ledger();
        block_on(poll_fn(|cx| {
            let answer = Pin::new(&mut receiver).poll(cx);
            ensure!(answer.is_pending(), "wrong-result", "Nothing was sent, and it gave {answer:?}.");
            Poll::Ready(())
        }));
        let task = thread::spawn(move || {
            ledger.attach();
            block_on(watch("moved", receiver))
        });
        in_a_while(move || sender.send("hello"));
        let output = task.join().expect("a receiver does not panic");
        ensure!(output == Ok("hello"), "wrong-result", "\"hello\" was sent; {output:?} arrived.");
    }

    /// A receiver wakes the waker that it was polled with, and not whoever else is near.
    "5.2" fn each_with_a_waker_of_its_own() {
        let ((sender_a, mut a), (sender_b, mut b)) = (oneshot(), oneshot::<&str>());
        let ((bell_a, waker_a), (bell_b, waker_b)) = (Bell::new(), Bell::new());
        pending(&mut a, &waker_a);
        pending(&mut b, &waker_b);
        let _ = sender_b.send("for b");
        let rung = (bell_a.rung(), bell_b.rung());
        ensure!(
            rung == (0, 1),
            "never-woken",
            "Two receivers, one thread, two wakers. A value was sent to the second receiver, and the \
             wakers were woken {rung:?} times. Needed: (0, 1)."
        );
        let _ = sender_a.send("for a");
    }

    /// Three receivers in one future that has a waker for each: whose value comes is polled.
    "5.2" fn three_in_one_task() {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot()).unzip();
        let crowd = receivers.into_iter().zip(["a", "b", "c"]);
        let mut crowd =
            crowd.map(|(receiver, name)| watch(name, receiver)).collect::<FuturesUnordered<_>>();
        thread::spawn(|| {
            for (n, sender) in senders.into_iter().enumerate().rev() {
                thread::sleep(Duration::from_millis(20));
                let _ = sender.send(n);
            }
        });
        for needed in [2, 1, 0] {
            let next = block_on(crowd.next());
            ensure!(
                next == Some(Ok(needed)),
                "wrong-result",
                "Next was to arrive what was sent to receiver {needed}; it was {next:?}."
            );
        }
    }

    /// A sender that goes away without sending completes its receiver.
    "5.2" fn a_sender_that_goes_away() {
        let (sender, receiver) = oneshot::<u32>();
        in_a_while(move || complete(sender, false));
        let output = block_on(watch("receiver", receiver));
        ensure!(
            output == Err(RecvError),
            "wrong-result",
            "The sender was dropped during the wait; the receiver gave {output:?}."
        );
        let (sender, mut receiver) = oneshot::<u32>();
        complete(sender, false);
        let answer = poll(&mut receiver, Waker::noop());
        ensure!(
            answer == Poll::Ready(Err(RecvError)),
            "wrong-result",
            "The sender was dropped before the first poll, which gave {answer:?}."
        );
    }

    /// A receiver that has gone gives the value back, and before that nothing is closed.
    "5.2" fn a_receiver_that_has_gone() {
        let (sender, receiver) = oneshot();
        ensure!(!sender.is_closed(), "wrong-result", "The receiver was there: `is_closed` was true.");
        drop(receiver);
        ensure!(sender.is_closed(), "wrong-result", "The receiver was gone: `is_closed` was false.");
        let sent = sender.send("back");
        ensure!(
            sent == Err("back"),
            "wrong-result",
            "The receiver was gone, and `send(\"back\")` gave {sent:?}, not `Err(\"back\")`."
        );
    }

    /// After `Ready` there is no second answer: another poll panics.
    "5.2" fn gives_no_second_answer() {
        for send in [true, false] {
            let (sender, mut receiver) = oneshot();
            complete(sender, send);
            let first = poll(&mut receiver, Waker::noop());
            let mut second = Poll::Pending;
            let panic = panics(|| second = poll(&mut receiver, Waker::noop()));
            ensure!(
                panic.is_some(),
                "answered-twice",
                "The receiver gave {first:?}, was polled again, and gave {second:?}. A panic is \
                 needed."
            );
            let another = panics(|| drop(receiver));
            ensure!(
                another.is_none(),
                "panicked",
                "The second poll panicked, as it should, and it held the lock when it did. Since then \
                 nobody can lock, and dropping the receiver panicked too."
            );
        }
    }

    /// A value is dropped once, whatever becomes of it.
    "5.2" fn a_value_is_dropped_once() {
        type Ending = fn(Sender<DropToken>, Receiver<DropToken>, DropToken);
        let endings: [(&str, Ending); 4] = [
            ("sent, and taken by the receiver", |sender, mut receiver, token| {
                let _ = sender.send(token);
                drop(poll(&mut receiver, Waker::noop()));
            }),
            ("sent, and the receiver was dropped", |sender, receiver, token| {
                let _ = sender.send(token);
                drop(receiver);
            }),
            ("sent to a receiver that was gone", |sender, receiver, token| {
                drop(receiver);
                drop(sender.send(token));
            }),
            ("sent to a receiver that had been polled, and was dropped", |sender, mut receiver, token| {
                pending(&mut receiver, Waker::noop());
                let _ = sender.send(token);
                drop(receiver);
            }),
        ];
        for (what, end) in endings {
            let drops = Drops::default();
            let (sender, receiver) = oneshot();
            end(sender, receiver, drops.token());
            let count = drops.count();
            ensure!(count == 1, "leak", "A value was {what}: it was dropped {count} times, not once.");
        }
    }

    /// The waker is woken when the lock is free: whoever is woken may poll at once.
    "5.2" fn wakes_unlocked() {
        for (how, send) in [("`send`", true), ("dropping the sender", false)] {
            let (sender, receiver) = oneshot();
            let receiver = Arc::new(Mutex::new(Some(receiver)));
            let polls = receiver.clone();
            let waker = meddler(Moment::Wake(how), "the receiver", move || {
                let mut receiver = polls.lock().unwrap().take().expect("it is woken once");
                let answer = poll(&mut receiver, Waker::noop());
                ensure!(
                    answer.is_ready(),
                    "lost-wake",
                    "The waker was woken by {how}, and a poll after that gave `Pending`."
                );
            });
            pending(receiver.lock().unwrap().as_mut().expect("nobody has taken it"), &waker);
            complete(sender, send);
        }
    }

    /// A sleep on another thread, with your channel in it, takes the time it should.
    "5.2" fn a_sleep_ends() {
        block_on(watch("sleep", thread_sleep(Duration::from_millis(20))));
    }

    /// Whatever comes in between of what: the receiver sleeps only if it is going to be woken.
    "5.2" fn a_hand_off_in_every_order() {
        none_is_bad(&every_order(|| hands_off(true, false)));
        none_is_bad(&every_order(|| hands_off(false, false)));
        none_is_bad(&every_order(|| hands_off(true, true)));
    }

    /// A cell wakes the waker that was left last, once, and no other.
    "5.3" fn a_cell_wakes_the_newest() {
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        let cell = WakerCell::default();
        cell.wake();
        cell.register(&waker_a);
        cell.register(&waker_b);
        cell.wake();
        rung("`register(A)`, `register(B)`, `wake`", (&a, &b), (0, 1));
        cell.wake();
        rung("a second `wake`, and nothing registered since the first", (&a, &b), (0, 0));
        cell.register(&waker_a);
        cell.wake();
        rung("`register(A)`, `wake`", (&a, &b), (1, 0));
        let kept = owners(&a) + owners(&b);
        ensure!(
            kept == 0,
            "leak",
            "All wakers were woken, and the cell still keeps {kept}.",
            kept = many(kept, "clone")
        );
    }

    /// A cell wakes when its lock is free: whoever is woken may register at once.
    "5.3" fn a_cell_wakes_unlocked() {
        let cell = Arc::new(WakerCell::default());
        let registers = cell.clone();
        let waker = meddler(Moment::Wake("`WakerCell::wake`"), "`register`", move || {
            registers.register(Waker::noop());
        });
        cell.register(&waker);
        cell.wake();
    }

    /// While the line is there, the hangup keeps the newest waker.
    "5.4" fn a_hangup_keeps_the_newest_waker() {
        let (line, mut hangup) = line();
        keep(line);
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        for waker in [&waker_a, &waker_b] {
            let answer = Pin::new(&mut hangup).poll(&mut Context::from_waker(waker));
            ensure!(answer.is_pending(), "wrong-result", "The line was there; the hangup was ready.");
        }
        let kept = (owners(&a), owners(&b));
        ensure!(
            kept == (0, 1),
            "never-woken",
            "The hangup answered `Pending` twice, to task A and to task B. It keeps {kept:?} clones \
             of their wakers; (0, 1) are needed."
        );
    }

    /// What happens while a hangup is being polled, it sees, or is woken for.
    "5.4" fn a_hangup_looks_when_it_has_kept() {
        let poll = every_order(|| {
            let (line, mut hangup) = line();
            keep(line);
            vec![actor("hangup", move || {
                let _ = Pin::new(&mut hangup).poll(&mut Context::from_waker(Waker::noop()));
                wait_until("sleep", || false);
            })]
        });
        let steps = poll.bad.first().map(Order::to_string).unwrap_or_default();
        let named = |line: &&str| line.ends_with("look") || line.ends_with("keep the waker");
        let steps = steps.lines().filter(named).collect::<Vec<_>>().join("\n");
        ensure!(
            !steps.ends_with("keep the waker"),
            "lost-wake",
            "One poll:\n\n{steps}\n\nA line that is dropped just before the last step finds nobody to \
             wake, and after it nobody looks."
        );
    }

    /// When the line is dropped, the hangup is ready, and its task is woken.
    "5.5" fn a_hangup_follows_the_line() {
        let (line, hangup) = line();
        in_a_while(move || drop(line));
        block_on(watch("hangup", hangup));
        let (line, mut hangup) = self::line();
        drop(line);
        let answer = Pin::new(&mut hangup).poll(&mut Context::from_waker(Waker::noop()));
        ensure!(
            answer.is_ready(),
            "wrong-result",
            "The line was dropped before the first poll, and the hangup was pending."
        );
    }

    /// No order of the four steps loses the wake.
    "5.5" fn a_hangup_in_every_order() {
        none_is_bad(&every_order(|| {
            let (line, hangup) = line();
            let works = actor("hangup", move || sleep_until_ready(hangup));
            vec![works, actor("line", move || drop(line))]
        }));
    }

    /// A cell without a lock keeps the newest waker, and wakes nobody by doing so.
    "5.6" fn lockless_keeps_the_newest() {
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        let cell = LocklessCell::default();
        cell.register(&waker_a);
        cell.register(&waker_b);
        rung("`register(A)`, `register(B)`", (&a, &b), (0, 0));
        let kept = (owners(&a), owners(&b));
        ensure!(
            kept == (0, 1),
            "old-waker",
            "After `register(A)` and `register(B)` the cell keeps {kept:?} clones of the two; (0, 1) \
             are needed."
        );
    }

    /// A cell without a lock wakes the waker that was left last, once, and no other.
    "5.7" fn lockless_wakes_the_newest() {
        let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
        let cell = LocklessCell::default();
        cell.wake();
        for _ in 0..2 {
            cell.register(&waker_a);
            cell.register(&waker_b);
            cell.wake();
            rung("`register(A)`, `register(B)`, `wake`", (&a, &b), (0, 1));
            cell.wake();
            rung("a second `wake`, and nothing registered since the first", (&a, &b), (0, 0));
        }
    }

    /// A lockless cell has left its slot when it wakes: whoever is woken may register at once.
    "5.7" fn lockless_wakes_outside() {
        let cell = Arc::new(LocklessCell::default());
        let (bell, waker) = Bell::new();
        let registers = cell.clone();
        cell.register(&meddler(Moment::Wake("`LocklessCell::wake`"), "`register`", move || {
            registers.register(&waker);
        }));
        cell.wake();
        let early = bell.rung();
        ensure!(
            early == 0,
            "woken-under-lock",
            "Whoever was woken by `wake` registered another waker there and then, and that one was \
             woken at once, with nothing to wake it for: the slot was not free yet. An executor \
             that polls inside `wake` would go round in circles."
        );
        cell.wake();
        let woken = bell.rung();
        ensure!(
            woken == 1,
            "never-woken",
            "Whoever was woken by `wake` registered another waker, and the next `wake` woke it \
             {woken} times, not once."
        );
    }

    /// A wake that comes while a waker is being kept has an effect, on the new one or the one before.
    "5.7" fn lockless_loses_no_wake_meanwhile() {
        none_is_bad(&every_order(|| {
            let cell = Arc::new(LocklessCell::default());
            let ((a, waker_a), (b, waker_b)) = (Bell::new(), Bell::new());
            cell.register(&waker_a);
            let waking = actor("wakes", {
                let cell = cell.clone();
                move || cell.wake()
            });
            let keeping = actor("keeps", move || {
                cell.register(&waker_b);
                wait_until("sleep", move || a.is_rung() || b.is_rung());
            });
            vec![keeping, waking]
        }));
    }

    /// A keeper and a waker that meet at the slot: no order loses a wake, or lets them collide.
    "5.7" fn lockless_in_every_order() {
        none_is_bad(&every_order(|| {
            let cell = Arc::new(LocklessCell::default());
            let done = Arc::new(AtomicBool::new(false));
            // How far the waking thread is.
            let step = Arc::new(AtomicU32::new(0));
            // The task that waited here before; the future has moved since.
            cell.register(&Bell::new().1);
            let waking = actor("wakes", {
                let (cell, done, step) = (cell.clone(), done.clone(), step.clone());
                move || {
                    let next = || step.fetch_add(1, Ordering::SeqCst);
                    cell.wake();
                    next();
                    point("set `done`");
                    done.store(true, Ordering::SeqCst);
                    next();
                    cell.wake();
                    next();
                }
            });
            let polled = actor("polls", move || {
                let (bell, waker) = Bell::new();
                loop {
                    bell.rung();
                    let before = step.load(Ordering::SeqCst);
                    cell.register(&waker);
                    point("look whether it is done");
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                    if bell.rung() > 0 {
                        // Asked again at once: the other side is at work, and goes on first.
                        let step = step.clone();
                        wait_until("poll again", move || step.load(Ordering::SeqCst) > before);
                        continue;
                    }
                    let bell = bell.clone();
                    wait_until("sleep", move || bell.is_rung());
                }
            });
            vec![polled, waking]
        }));
    }
}

/// Polls `receiver` once, and writes it down.
fn poll<T>(receiver: &mut Receiver<T>, waker: &Waker) -> Poll<Result<T, RecvError>> {
    let ledger = ledger();
    ledger.record("receiver", Event::Poll);
    let answer = Pin::new(receiver).poll(&mut Context::from_waker(waker));
    ledger.record("receiver", if answer.is_ready() { Event::Ready } else { Event::Pending });
    answer
}

/// Polls a receiver to which nothing was sent.
fn pending<T>(receiver: &mut Receiver<T>, waker: &Waker) {
    let answer = poll(receiver, waker);
    ensure!(answer.is_pending(), "wrong-result", "Nothing was sent, and the receiver was ready.");
}

/// Completes a receiver: by sending 1, or by going away.
fn complete(sender: Sender<u32>, send: bool) {
    if send {
        let _ = sender.send(1);
    }
}

/// Keeps something for good: for checks that come before its `drop` is written.
fn keep<T>(something: T) {
    mem::forget(something);
}

/// How many clones of its waker there are, besides the one that came with the bell.
fn owners(bell: &Arc<Bell>) -> usize {
    Arc::strong_count(bell) - 2
}

/// The two bells have been rung as often as `needed`.
fn rung(after: &str, (a, b): (&Bell, &Bell), needed: (u32, u32)) {
    let rung = (a.rung(), b.rung());
    let seen = format!("After {after}, A and B were woken {rung:?} times. Needed: {needed:?}.");
    ensure!(rung.0 == needed.0 || rung.1 == needed.1, "old-waker", "{seen}");
    ensure!(rung == needed, "wrong-wake", "{seen}");
}

/// Does something on another thread, when this one has had the time to fall asleep.
fn in_a_while<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(20));
        f()
    })
}

/// When a [`meddler`] comes into action.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    /// When it is woken, by what is named.
    Wake(&'static str),
    /// When it is dropped.
    Drop,
}

/// A waker that uses what it belongs to, at the given moment: on another thread, so that a lock that
/// is held shows as an answer that does not come, and not as the end of everything.
fn meddler(moment: Moment, uses: &'static str, f: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Meddler { moment, uses, f: Arc::new(f) }).into()
}

/// See [`meddler`].
struct Meddler {
    moment: Moment,
    uses: &'static str,
    f: Arc<dyn Fn() + Send + Sync>,
}

impl Meddler {
    fn meddle(&self) {
        let (f, (answered, answer)) = (self.f.clone(), mpsc::channel());
        thread::spawn(move || {
            f();
            let _ = Signal::send(&answered, ());
        });
        let limit = scaled(Duration::from_millis(1000));
        if answer.recv_timeout(limit).is_err() {
            let (what, when) = match self.moment {
                Moment::Wake(by) => ("woken", format!("by {by}")),
                Moment::Drop => ("dropped", "by the poll that replaced it".to_owned()),
            };
            let uses = self.uses;
            fail!(
                "woken-under-lock",
                "While a waker was being {what} {when}, another thread used {uses}, and had no answer \
                 for {} ms. It waits for a lock that is held until the waker is done.",
                limit.as_millis()
            );
        }
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if self.moment != Moment::Drop {
            self.meddle();
        }
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        if self.moment == Moment::Drop {
            self.meddle();
        }
    }
}

/// In a play: polls until it is ready, and sleeps in between until it is woken.
fn sleep_until_ready<F: Future>(future: F) -> F::Output {
    let (bell, waker) = Bell::new();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let alarm = bell.clone();
        wait_until("sleep", move || alarm.is_rung());
        bell.rung();
    }
}

/// The actors of one hand-off: a receiver that is polled until it is ready, and a sender that sends or
/// goes away. If it moves, the receiver is first polled in another task.
fn hands_off(send: bool, moves: bool) -> Vec<Actor> {
    let (sender, mut receiver) = oneshot();
    let receives = actor("receiver", move || {
        let mut elsewhere = Context::from_waker(Waker::noop());
        let first = moves.then(|| Pin::new(&mut receiver).poll(&mut elsewhere));
        let answer = match first {
            Some(Poll::Ready(answer)) => answer,
            _ => sleep_until_ready(receiver),
        };
        let needed = if send { Ok(1) } else { Err(RecvError) };
        if answer != needed {
            // The end of this play, and not of the check.
            let text = format!("{answer:?} arrived, and not {needed:?}");
            resume_unwind(Box::new(text));
        }
    });
    vec![receives, actor("sender", move || complete(sender, send))]
}

/// No order hangs, and in none do two threads collide.
fn none_is_bad(orders: &Orders) {
    let Some(order) = orders.bad.first() else { return };
    let total = orders.total;
    let is_bad_by = |what: &str| order.why.as_ref().is_some_and(|why| why.contains(what));
    if is_bad_by("in circles") {
        fail!("never-returns", "There is an order without an end:\n\n{order}");
    }
    if is_bad_by("at the slot") {
        let seen = format!("Of {total} orders {} bad.", are(orders.bad.len(), "is", "are"));
        fail!("crashed", "{seen} In this one two threads use the slot at once:\n\n{order}");
    }
    if !is_bad_by("nobody can go on") {
        let bad = are(orders.bad.len(), "ends", "end");
        fail!("wrong-result", "Of {total} orders {bad} wrong. One of them:\n\n{order}");
    }
    let bad = are(orders.bad.len(), "hangs", "hang");
    fail!("lost-wake", "Of {total} orders {bad}. One of them:\n\n{order}");
}

/// A number with its verb.
fn are(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
