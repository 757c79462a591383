// The checks of chapter 2. `subject` is the code under examination.

use std::cell::Cell;
use std::future::{Future, IntoFuture, Ready, poll_fn, ready};
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use under_await::ch01_future::{poll_once, yield_now};
use under_await::ledger::watch;

use crate::support::{Bell, Event, Ledger, checks, cloning, ensure, fail, later, ledger, scaled};

use subject::extend::{block_on_at_most, block_on_two, flag};
use subject::{block_on, block_on_counting};

checks! {
    /// What the future gives is what comes back.
    "2.1" fn ready_at_once() {
        let output = block_on(probe("future", 0, 42));
        ensure!(output == 42, "wrong-result", "A future that gives 42 gave {output}.");
    }

    /// A future is polled until it is ready, in one place, and then left alone.
    "2.1" fn polls_until_ready() {
        for n in [3, 0, 1, 100] {
            let before = ledger().count(Event::Poll);
            let (output, told) = block_on_counting(probe("future", n, n + 5));
            let polls = ledger().count(Event::Poll) - before;
            ensure!(
                output == n + 5,
                "wrong-result",
                "A future that gives {} gave {output}.", n + 5
            );
            ensure!(
                told == polls,
                "wrong-result",
                "`block_on_counting` made {polls} polls, and says that it made {told} polls."
            );
        }
    }

    /// A thread makes the future ready in the middle of the wait.
    "2.1" fn waits_for_another_thread() {
        let output = block_on(later(30));
        ensure!(output == "done", "wrong-result", "The output was {output:?}.");
    }

    /// The future need not be `Send`, may borrow, and stays on this thread.
    "2.1" fn runs_any_future() {
        let polled_on = Rc::new(Cell::new(None));
        let text = String::from("borrowed");
        let length = block_on(async {
            yield_now().await;
            polled_on.set(Some(thread::current().id()));
            text.len()
        });
        ensure!(length == 8, "wrong-result", "The length of {text:?} came back as {length}.");
        let here = thread::current().id();
        ensure!(
            polled_on.get() == Some(here),
            "wrong-result",
            "The future was to be polled on {here:?}; the last poll was on {:?}.", polled_on.get()
        );
        let (output, polls) = block_on_counting(Order);
        ensure!(
            (output, polls) == ("served", 1),
            "wrong-result",
            "An `IntoFuture` gave {output:?} after {polls} polls, not \"served\" after 1."
        );
    }

    /// A future that wakes nobody is polled again all the same: this executor does not listen.
    "2.1" fn needs_no_wake() {
        let ledger = ledger();
        let mut left = 3;
        block_on(poll_fn(move |_| {
            ledger.record("silent", Event::Poll);
            if left == 0 {
                ledger.record("silent", Event::Ready);
                return Poll::Ready(());
            }
            left -= 1;
            ledger.record("silent", Event::Pending);
            Poll::Pending
        }));
    }

    /// With polls enough, `block_on_at_most` is a `block_on`.
    "2.2" fn just_enough_polls() {
        for (n, limit) in [(3, 4), (0, 1), (3, u64::MAX)] {
            let output = block_on_at_most(probe("future", n, "ready"), limit);
            ensure!(
                output == Some("ready"),
                "wrong-result",
                "{limit} polls are enough for one that is pending {n} times. It gave {output:?}."
            );
        }
    }

    /// When the polls are used up, `block_on_at_most` gives up, without one poll more.
    "2.2" fn gives_up() {
        for limit in [0, 3, 1] {
            let before = ledger().count(Event::Poll);
            let output = block_on_at_most(probe("future", 3, "ready"), limit);
            let polls = ledger().count(Event::Poll) - before;
            ensure!(
                polls == limit,
                "wrong-result",
                "Polls that `block_on_at_most` was allowed: {limit}. Polls that it made: {polls}."
            );
            ensure!(
                output.is_none(),
                "wrong-result",
                "A future that is pending 3 times needs 4 polls. With {limit} it gave {output:?}."
            );
        }
    }

    /// Both outputs come back, each in its place, whichever future was ready first.
    "2.3" fn both_outputs() {
        for (n, m) in [(0, 1), (1, 0), (0, 0), (3, 5)] {
            let outputs = block_on_two(probe("a", n, "left"), probe("b", m, 7));
            ensure!(
                outputs == ("left", 7),
                "wrong-result",
                "`a` gave \"left\" and `b` gave 7. What came back is {outputs:?}."
            );
        }
    }

    /// Neither future has to be ready before the other one is polled.
    "2.3" fn neither_waits_for_the_other() {
        let (ledger, asked) = (ledger(), Cell::new(0));
        let (a_is_done, b_has_run) = (Cell::new(false), Cell::new(false));
        let a = poll_fn(|cx| {
            ledger.record("a", Event::Poll);
            asked.set(asked.get() + 1);
            ensure!(
                asked.get() < 1000 || b_has_run.get(),
                "never-polled",
                "`a` waits for something that `b` does. It was polled 1,000 times, `b` never."
            );
            if !b_has_run.get() {
                return pending(&ledger, "a", cx);
            }
            a_is_done.set(true);
            ledger.record("a", Event::Ready);
            Poll::Ready(())
        });
        let b = poll_fn(|cx| {
            ledger.record("b", Event::Poll);
            b_has_run.set(true);
            if !a_is_done.get() {
                return pending(&ledger, "b", cx);
            }
            ledger.record("b", Event::Ready);
            Poll::Ready(())
        });
        block_on_two(a, b);
    }

    /// While both are pending they are polled in turn; after that, only the one that is left.
    "2.3" fn takes_turns() {
        for (n, m, needed) in [(2, 4, "a b a b a b b b"), (3, 1, "a b a b a a")] {
            let before = ledger().entries().len();
            block_on_two(probe("a", n, ()), probe("b", m, ()));
            let entries = ledger().entries().split_off(before);
            let polls = entries.iter().filter(|entry| entry.event == Event::Poll);
            let polls = polls.map(|entry| entry.who).collect::<Vec<_>>().join(" ");
            ensure!(
                polls == needed,
                "wrong-result",
                "With `a` pending {n} times and `b` {m} times, polls came in the order\n  \
                 {polls}\nand are needed in the order\n  {needed}"
            );
        }
    }

    /// A flag that is not set asks for no poll: its waker is left alone until then.
    "2.4" fn is_left_alone_until_set() {
        let (_setter, flag) = flag();
        let mut flag = pin!(watch("flag", flag));
        let (start, wait, mut polls) = (Instant::now(), Duration::from_millis(50), 0);
        futures::executor::block_on(poll_fn(|cx| {
            if polls == 0 {
                let waker = cx.waker().clone();
                thread::spawn(move || {
                    thread::sleep(wait);
                    waker.wake();
                });
            }
            polls += 1;
            let answer = flag.as_mut().poll(cx);
            ensure!(answer.is_pending(), "wrong-result", "The flag was ready, and not set.");
            if start.elapsed() < wait { Poll::Pending } else { Poll::Ready(()) }
        }));
        ensure!(
            polls <= 3,
            "busy-poll",
            "Nobody set the flag for 50 ms, and that took {polls} polls; 2 are enough."
        );
    }

    /// A flag that answers `Pending` keeps a clone of the waker.
    "2.4" fn keeps_the_waker() {
        let ((_setter, flag), ledger) = (flag(), ledger());
        let (bell, waker) = Bell::new();
        let owners = Arc::strong_count(&bell);
        let mut flag = pin!(flag);
        ledger.record("flag", Event::Poll);
        let answer = flag.as_mut().poll(&mut Context::from_waker(&waker));
        ensure!(answer.is_pending(), "wrong-result", "The flag was ready, and not set.");
        ledger.record("flag", Event::Pending);
        let now = Arc::strong_count(&bell);
        ensure!(
            now > owners,
            "never-woken",
            "The flag answered `Pending`. Before that the waker had {owners} owners, and now it \
             has {now}: the flag has kept none, so nobody will be able to wake it."
        );
    }

    /// Each poll may bring another waker, and the last one counts.
    "2.5" with "2.4" fn wakes_the_waker_of_the_last_poll() {
        let (setter, flag) = flag();
        let mut flag = pin!(watch("flag", flag));
        let ((first, waker), (last, last_waker)) = (Bell::new(), Bell::new());
        for waker in [waker, last_waker] {
            let _ = flag.as_mut().poll(&mut Context::from_waker(&waker));
        }
        setter.set();
        let (first, last) = (first.rung(), last.rung());
        ensure!(
            last == 1,
            "never-woken",
            "The flag was polled with one waker and then with another, and was set. The first was \
             woken {first} times, the last {last} times; the last has to be woken."
        );
    }

    /// A flag that is set while it is being polled is seen, or wakes: no gap between the two.
    "2.5" with "2.4" fn set_during_the_poll() {
        let ((setter, flag), ledger) = (flag(), ledger());
        let setter = Mutex::new(Some(setter));
        let helper = Mutex::new(None);
        let (bell, waker) = cloning({
            let ledger = ledger.clone();
            move || {
                let Some(setter) = setter.lock().unwrap().take() else { return };
                ledger.record("setter", Event::Note("is called while the waker is cloned"));
                let thread = thread::spawn(move || setter.set());
                // It may have to wait for a lock that this poll holds: that is right, too.
                let deadline = Instant::now() + scaled(Duration::from_millis(100));
                while !thread.is_finished() && Instant::now() < deadline {
                    thread::yield_now();
                }
                *helper.lock().unwrap() = Some(thread);
            }
        });
        // Not watched: whoever watches clones the waker too.
        let mut flag = Box::pin(flag);
        ledger.record("flag", Event::Poll);
        let answer = flag.as_mut().poll(&mut Context::from_waker(&waker));
        let deadline = Instant::now() + scaled(Duration::from_millis(500));
        while answer.is_pending() && bell.wakes() == 0 && Instant::now() < deadline {
            thread::yield_now();
        }
        ensure!(
            answer.is_ready() || bell.wakes() > 0,
            "lost-wake",
            "The flag was set between the look at it and the moment its waker was kept: the poll \
             answered `Pending`, and the setter found no waker."
        );
    }

    /// A flag that was set before the first poll is ready at that poll.
    "2.5" with "2.4" fn set_before_the_first_poll() {
        let (setter, flag) = flag();
        setter.set();
        let answer = poll_once(pin!(watch("flag", flag)));
        ensure!(answer.is_ready(), "wrong-result", "The flag was set, and answered `Pending`.");
    }

    /// Under an executor that sleeps until it is woken, the flag wakes it.
    "2.5" with "2.4" fn wakes_an_executor_that_sleeps() {
        let ((setter, flag), ledger) = (flag(), ledger());
        let helper = thread::spawn({
            let ledger = ledger.clone();
            move || {
                thread::sleep(Duration::from_millis(30));
                ledger.record("setter", Event::Note("sets the flag"));
                setter.set();
            }
        });
        futures::executor::block_on(watch("flag", flag));
        let polls = ledger.count(Event::Poll);
        ensure!(polls <= 3, "busy-poll", "A wait of 30 ms took {polls} polls; 2 are enough.");
        helper.join().expect("the setter does not panic");
    }

    /// Whoever is woken may poll at once: the flag is set by then, and its lock is free.
    "2.5" with "2.4" fn can_be_polled_during_the_wake() {
        let ((setter, flag), ledger) = (flag(), ledger());
        let flag = Mutex::new(Box::pin(flag));
        let poller = Arc::new(PollsWhenWoken { flag, ready: AtomicBool::new(false), ledger });
        poller.poll();
        setter.set();
        ensure!(
            poller.ready.load(Ordering::SeqCst),
            "never-woken",
            "`set` woke whoever waits, and the poll that followed found the flag not set. It \
             answered `Pending` once more, and nobody will wake it again."
        );
    }
}

/// Pending `n` times, waking itself each time, then ready with `output`. It complains when it is
/// moved, and when it is polled after that.
fn probe<T>(name: &'static str, n: u32, output: T) -> Probe<T> {
    let (left, output) = (Cell::new(n), Cell::new(Some(output)));
    Probe { name, left, output, home: Cell::new(None), ledger: ledger(), pinned: PhantomPinned }
}

/// See [`probe`].
struct Probe<T> {
    name: &'static str,
    /// How often it will still be pending.
    left: Cell<u32>,
    /// What it will give; `None` once it has.
    output: Cell<Option<T>>,
    /// Where it was at its first poll.
    home: Cell<Option<usize>>,
    /// Where all of it is written down.
    ledger: Ledger,
    /// It is not `Unpin`: nobody has permission to move it.
    pinned: PhantomPinned,
}

impl<T> Future for Probe<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.into_ref().get_ref();
        let name = this.name;
        this.ledger.record(name, Event::Poll);
        let here = std::ptr::from_ref(this).addr();
        let home = this.home.get().unwrap_or(here);
        this.home.set(Some(home));
        ensure!(
            here == home,
            "moved",
            "`{name}` is {} bytes from where it was at its first poll.", here.abs_diff(home)
        );
        if let Some(left) = this.left.get().checked_sub(1) {
            this.left.set(left);
            return pending(&this.ledger, name, cx);
        }
        let Some(output) = this.output.take() else {
            fail!("polled-after-ready", "`{name}` was ready, and has been polled again.");
        };
        this.ledger.record(name, Event::Ready);
        Poll::Ready(output)
    }
}

/// Asks for another poll, answers `Pending`, and writes both down.
fn pending<T>(ledger: &Ledger, who: &'static str, cx: &mut Context<'_>) -> Poll<T> {
    ledger.record(who, Event::Wake);
    cx.waker().wake_by_ref();
    ledger.record(who, Event::Pending);
    Poll::Pending
}

/// Polls its future inside of the wake, as an executor may.
struct PollsWhenWoken<F> {
    flag: Mutex<Pin<Box<F>>>,
    /// Whether the future was ready at the last poll.
    ready: AtomicBool,
    /// Where all of it is written down.
    ledger: Ledger,
}

impl<F: Future<Output = ()> + Send + 'static> PollsWhenWoken<F> {
    fn poll(self: &Arc<Self>) {
        self.ledger.record("flag", Event::Poll);
        let waker = Waker::from(self.clone());
        let mut flag = self.flag.lock().unwrap();
        let answer = flag.as_mut().poll(&mut Context::from_waker(&waker));
        self.ready.store(answer.is_ready(), Ordering::SeqCst);
        let answer = if answer.is_ready() { Event::Ready } else { Event::Pending };
        self.ledger.record("flag", answer);
    }
}

impl<F: Future<Output = ()> + Send + 'static> Wake for PollsWhenWoken<F> {
    fn wake(self: Arc<Self>) {
        self.ledger.record("flag", Event::Wake);
        self.poll();
    }
}

/// Not a future, but something that can be turned into one.
struct Order;

impl IntoFuture for Order {
    type Output = &'static str;
    type IntoFuture = Ready<&'static str>;

    fn into_future(self) -> Self::IntoFuture {
        ready("served")
    }
}
