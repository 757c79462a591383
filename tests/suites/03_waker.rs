// The checks of chapter 3. `subject` is the code under examination.

use std::any::Any;
use std::panic;
use std::pin::pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::support::heard::News;
use crate::support::schedules::{Actor, actor, every_order};
use crate::support::{Event, Ledger, Memory, allocations, checks, ensure, fail, many, memory};

use subject::extend::{Owners, flag_waker, noop, tally_waker};
use subject::{Counter, counting};

/// Spare owners of what is examined. A share that is given up wrongly shows as a number that is too
/// low, and frees nothing that is still in use.
const SPARE: usize = 100;

/// What stands behind a waker, with its spare owners, and how to read off its wakes.
struct Behind<T> {
    data: Arc<T>,
    spare: Vec<Arc<T>>,
    wakes: fn(&T) -> usize,
}

/// A waker of `counting`, and what stands behind it.
fn counted() -> (Waker, Behind<Counter>) {
    let (waker, data) = counting();
    (waker, Behind { spare: vec![data.clone(); SPARE], data, wakes: Counter::wakes })
}

/// A `tally_waker`, and what stands behind it.
fn tallied() -> (Waker, Behind<AtomicUsize>) {
    let data = Arc::new(AtomicUsize::new(0));
    let (waker, spare) = (tally_waker(data.clone()), vec![data.clone(); SPARE]);
    (waker, Behind { data, spare, wakes: |tally| tally.load(Ordering::Relaxed) })
}

impl<T> Behind<T> {
    /// The owners are ours and as many wakers as there are; the wakes are as many as there were.
    fn balance(&self, after: &str, wakers: usize, wakes: usize) {
        let (owners, needed) = (self.owners(), wakers as isize + 1);
        let who = match wakers {
            0 => "no waker is left, only the `Arc` that this check holds".to_owned(),
            1 => "1 waker, and the `Arc` that this check holds".to_owned(),
            n => format!("{n} wakers, and the `Arc` that this check holds"),
        };
        let seen =
            format!("After `{after}` the strong count is {owners}. It should be {needed}: {who}.");
        ensure!(owners >= needed, "freed-too-early", "{seen}");
        ensure!(owners <= needed, "leak", "{seen}");
        let seen = (self.wakes)(&self.data);
        ensure!(
            seen == wakes,
            "wrong-wake",
            "After `{after}` the count of wakes is {seen}. It should be {wakes}."
        );
    }

    /// The owners that a reader knows of. Less than none is possible, for those whom we spare.
    fn owners(&self) -> isize {
        Arc::strong_count(&self.data) as isize - self.spare.len() as isize
    }
}

/// Keeps `wakers` for good: for checks that come before `drop` is written.
fn keep<const N: usize>(wakers: [Waker; N]) {
    static KEPT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().extend(wakers);
}

/// One step of a program: what is done to which of the wakers there are.
#[derive(Clone, Copy)]
enum Step {
    Clone(usize),
    WakeByRef(usize),
    Wake(usize),
    Drop(usize),
}

/// Runs every program of at most `length` steps that begins with one waker; the shortest come
/// first. After each step, and when the last waker is gone, the owners and the wakes must balance.
fn every_program<T>(length: usize, start: fn() -> (Waker, Behind<T>)) {
    for length in 1..=length {
        programs(1, length, &mut Vec::new(), &|program| run(program, start()));
    }
}

/// Calls `run` with every program of `length` more steps, from a state with so many `wakers`.
fn programs(wakers: usize, length: usize, program: &mut Vec<Step>, run: &dyn Fn(&[Step])) {
    if length == 0 {
        return run(program);
    }
    for which in 0..wakers {
        let steps = [
            (Step::Clone(which), wakers + 1),
            (Step::WakeByRef(which), wakers),
            (Step::Wake(which), wakers - 1),
            (Step::Drop(which), wakers - 1),
        ];
        for (step, wakers) in steps {
            program.push(step);
            programs(wakers, length - 1, program, run);
            program.pop();
        }
    }
}

/// Runs one program; the model that it is compared with is a pair of numbers.
fn run<T>(program: &[Step], (waker, behind): (Waker, Behind<T>)) {
    // A ledger for this program alone: it is what a reader is shown if the balance is wrong.
    Ledger::open();
    // The wakers there are, by name: the first is `a`, its first clone `b`.
    let mut wakers = vec![('a', waker)];
    let (mut names, mut wakes, mut story) = ('b'.., 0, Vec::new());
    for step in program {
        match *step {
            Step::Clone(which) => {
                let clone = wakers[which].1.clone();
                let name = names.next().expect("there are more letters than steps");
                story.push(format!("{name} = {}.clone()", wakers[which].0));
                wakers.push((name, clone));
            }
            Step::WakeByRef(which) => {
                wakers[which].1.wake_by_ref();
                story.push(format!("{}.wake_by_ref()", wakers[which].0));
                wakes += 1;
            }
            Step::Wake(which) => {
                let (name, waker) = wakers.remove(which);
                waker.wake();
                story.push(format!("{name}.wake()"));
                wakes += 1;
            }
            Step::Drop(which) => {
                let (name, waker) = wakers.remove(which);
                drop(waker);
                story.push(format!("drop({name})"));
            }
        }
        behind.balance(&story.join("; "), wakers.len(), wakes);
    }
    for (name, waker) in wakers.drain(..).rev() {
        drop(waker);
        story.push(format!("drop({name})"));
    }
    behind.balance(&story.join("; "), 0, wakes);
}

/// A waker is made by `make`, cloned, woken and dropped, and is the last owner of what is behind it.
/// That is given back as it was asked for, and not used afterwards.
fn the_last_waker<T>(make: fn() -> (Waker, Arc<T>), end: &str, last: fn(Waker)) {
    Ledger::close();
    let Memory { asked, back, used_afterwards } = memory(|| {
        let (first, behind) = make();
        drop(behind);
        let second = first.clone();
        drop(first);
        last(second);
    });
    ensure!(
        !used_afterwards,
        "freed-too-early",
        "The last waker's `{end}` freed what is behind it, and then used it."
    );
    ensure!(back > 0, "leak", "After the last waker's `{end}`, what was behind it is not freed.");
    ensure!(
        back == asked,
        "wrong-type",
        "What is behind a waker was made with {asked} bytes. The last waker's `{end}` freed {back} \
         bytes: it took the pointer for that of an `Arc` of something else."
    );
}

/// Plays two owners of an [`Owners`] in every order; `plays` are what each does, and says how often
/// it was told to free. Together that should be once, and whoever frees knows what the other has done.
fn one_frees(plays: [fn(&Owners) -> usize; 2]) {
    let orders = every_order(|| {
        let owners = Arc::new(Owners::new());
        owners.add();
        let told = Arc::new(Mutex::new(Vec::new()));
        let work = Arc::new([News::default(), News::default()]);
        let actors = ["first", "second"].into_iter().zip(plays).enumerate();
        let actors = actors.map(|(me, (name, play))| {
            let (owners, told, work) = (owners.clone(), told.clone(), work.clone());
            actor(name, move || {
                // Not a panic: the order is to be shown, with this at its end.
                let bad = |why: String| panic::resume_unwind(Box::new(why) as Box<dyn Any + Send>);
                // An owner uses the task before it gives up its share.
                work[me].done();
                let freed = play(&owners);
                let mut told = told.lock().unwrap();
                told.push(freed);
                match told.iter().sum::<usize>() {
                    0 if told.len() == 2 => bad("nobody is told to free: a leak".to_owned()),
                    0 | 1 => {}
                    _ => bad("two are told to free".to_owned()),
                }
                if freed > 0 && !work.iter().all(News::is_known) {
                    bad(format!("{name} frees, and does not see what the other did before it left"));
                }
            })
        });
        actors.collect::<Vec<Actor>>()
    });
    let (bad, total) = (orders.bad.len(), orders.total);
    let Some(order) = orders.example() else { return };
    let any = |what: &str| {
        orders.bad.iter().any(|order| order.why.as_ref().is_some_and(|why| why.contains(what)))
    };
    if any("does not see") {
        fail!("unseen", "{bad} of {total} orders end badly. One of them:\n\n{order}");
    }
    if any("two") {
        fail!("freed-too-early", "{bad} of {total} orders end badly. One of them:\n\n{order}");
    }
    fail!("leak", "{bad} of {total} orders end badly. One of them:\n\n{order}");
}

/// `true` of wakers that know each other, both ways.
fn know(one: &Waker, other: &Waker) -> bool {
    one.will_wake(other) && other.will_wake(one)
}

/// Why two wakers do not know each other.
fn difference(one: &Waker, other: &Waker) -> &'static str {
    match (one.data() == other.data(), ptr::eq(one.vtable(), other.vtable())) {
        (true, _) => "They have the same pointer, and tables at different addresses.",
        (false, true) => "They have the same table, and different pointers.",
        (false, false) => "They have different pointers, and tables at different addresses.",
    }
}

checks! {
    /// A clone is one more owner.
    "3.1" fn clone_adds_an_owner() {
        let (first, behind) = counted();
        let second = first.clone();
        behind.balance("let second = first.clone()", 2, 0);
        let third = second.clone();
        behind.balance("let third = second.clone()", 3, 0);
        keep([first, second, third]);
    }

    /// Clones know each other by `will_wake`, and nobody else.
    "3.1" fn clones_know_each_other() {
        let ((first, _), (stranger, _)) = (counted(), counted());
        let second = first.clone();
        let third = second.clone();
        for (name, other) in [("second", &second), ("third", &third)] {
            ensure!(
                know(&first, other),
                "not-the-same",
                "`second` is a clone of `first`, and `third` of `second`. And yet \
                 `first.will_wake(&{name})` is false. {}",
                difference(&first, other)
            );
        }
        ensure!(
            !know(&first, &stranger),
            "not-the-same",
            "The wakers of two counters take each other for the same: both have the same pointer \
             and the same table."
        );
        keep([first, second, third, stranger]);
    }

    /// `wake_by_ref` wakes once, and changes no owner.
    "3.2" fn wake_by_ref_keeps_its_owner() {
        let (waker, behind) = counted();
        waker.wake_by_ref();
        behind.balance("waker.wake_by_ref()", 1, 1);
        waker.wake_by_ref();
        behind.balance("waker.wake_by_ref(); waker.wake_by_ref()", 1, 2);
        keep([waker]);
    }

    /// A waker that is dropped is one owner less, and wakes nobody.
    "3.3" with "3.1" fn drop_gives_up_its_owner() {
        let (first, behind) = counted();
        let second = first.clone();
        drop(second);
        behind.balance("drop(second)", 1, 0);
        drop(first);
        behind.balance("drop(second); drop(first)", 0, 0);
    }

    /// The last owner frees all of what was made, and as what it was made.
    "3.3" with "3.1" fn frees_what_was_made() {
        the_last_waker(counting, "drop", drop);
    }

    /// `wake` wakes once, and its waker is one owner less.
    "3.4" with "3.1" "3.2" "3.3" fn wake_gives_up_its_owner() {
        let (first, behind) = counted();
        let second = first.clone();
        second.wake();
        behind.balance("second.wake()", 1, 1);
        first.wake();
        behind.balance("second.wake(); first.wake()", 0, 2);
    }

    /// Owners and wakes balance after every program of clone, wake_by_ref, wake and drop.
    "3.4" with "3.1" "3.2" "3.3" fn every_short_program_balances() {
        every_program(if cfg!(miri) { 3 } else { 5 }, counted);
    }

    /// The last waker frees what is behind it, whether it is woken or dropped, and none before it.
    "3.4" with "3.1" "3.2" "3.3" fn the_last_one_frees() {
        for (end_name, end) in [("wake()", Waker::wake as fn(Waker)), ("drop", drop)] {
            let ledger = Ledger::open();
            let (first, counter) = counting();
            let weak = Arc::downgrade(&counter);
            drop(counter);
            let second = first.clone();
            first.wake_by_ref();
            drop(first);
            ensure!(
                weak.strong_count() == 1,
                "freed-too-early",
                "One waker is left, and the strong count is {}.", weak.strong_count()
            );
            end(second);
            ensure!(
                weak.strong_count() == 0,
                "leak",
                "After the last waker's `{end_name}` the strong count is {}. It should be 0.",
                weak.strong_count()
            );
            // `weak` keeps the memory, so a wake that comes too late does no harm here.
            let entries = ledger.entries();
            let at = |event| entries.iter().rposition(|entry| entry.event == event);
            ensure!(
                at(Event::Drop).is_none() || at(Event::Drop) > at(Event::Wake),
                "freed-too-early",
                "The last waker's `{end_name}` gave up its share and woke after that. By then the \
                 counter was freed."
            );
            the_last_waker(counting, end_name, end);
        }
    }

    /// Clones may be cloned, woken and dropped on many threads at once.
    "3.4" with "3.1" "3.2" "3.3" fn from_four_threads_at_once() {
        let rounds = if cfg!(miri) { 20 } else { 10_000 };
        let (waker, behind) = counted();
        let together = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    // A step between the wakes would keep the threads out of each other's way.
                    (0..10 * rounds).for_each(|_| waker.wake_by_ref());
                    for _ in 0..rounds {
                        let mine = waker.clone();
                        drop(mine.clone());
                        mine.wake();
                    }
                });
            }
        });
        behind.balance("many wakes and clones on 4 threads", 1, 4 * (10 * rounds + rounds));
    }

    /// The waker that does nothing can be polled with, cloned, woken and dropped, without a cost.
    "3.5" fn noop_does_nothing() {
        let count = allocations(|| {
            let waker = noop();
            let answer = pin!(async { 42 }).poll(&mut Context::from_waker(&waker));
            ensure!(answer == Poll::Ready(42), "wrong-result", "A future that is ready: {answer:?}.");
            let clone = waker.clone();
            waker.wake_by_ref();
            let clone_of_clone = clone.clone();
            clone.wake_by_ref();
            clone_of_clone.wake();
            waker.wake();
            drop(clone);
        });
        ensure!(
            count == 0,
            "allocates",
            "What is done with it takes {count}; 0 are needed.",
            count = many(count, "allocation")
        );
        let elsewhere = noop();
        thread::spawn(move || elsewhere.wake()).join().unwrap();
    }

    /// All the wakers that do nothing are the same.
    "3.5" fn noops_know_each_other() {
        let (first, second) = (noop(), noop());
        let clone = first.clone();
        for (what, other) in [("a clone", &clone), ("another `noop()`", &second)] {
            ensure!(
                know(&first, other),
                "not-the-same",
                "`noop()` and {what} do not know each other. {}",
                difference(&first, other)
            );
        }
    }

    /// The exercise is to make one: not the one that std has.
    "3.5" fn a_table_of_its_own() {
        // A clone: the functions of the constant itself may have other addresses in other parts of a program.
        ensure!(
            noop().vtable() != Waker::noop().clone().vtable(),
            "wrong-result",
            "This is std's own waker: its table has the four functions of `Waker::noop()`. What is \
             needed is one with four functions of your own."
        );
    }

    /// A flag waker's wakes set its flag, on any thread; cloning and dropping do not.
    "3.6" fn a_wake_sets_the_flag() {
        static FLAG: AtomicBool = AtomicBool::new(false);
        let set = || FLAG.swap(false, Ordering::Acquire);
        let waker = flag_waker(&FLAG);
        drop(waker.clone());
        ensure!(!set(), "wrong-wake", "Nobody woke, and the flag is set.");
        waker.wake_by_ref();
        ensure!(set(), "wrong-wake", "After `wake_by_ref()` the flag is not set.");
        let clone = waker.clone();
        waker.wake();
        ensure!(set(), "wrong-wake", "After `wake()` the flag is not set.");
        let last = clone.clone();
        thread::spawn(move || clone.wake()).join().unwrap();
        ensure!(set(), "wrong-wake", "After `wake()` of a clone on a thread the flag is not set.");
        last.wake_by_ref();
        last.wake_by_ref();
        ensure!(set(), "wrong-wake", "Woken twice, and the flag is not set.");
        last.wake_by_ref();
        drop(last.clone());
        ensure!(set(), "wrong-wake", "Woken, then a clone was dropped, and the flag is not set.");
        drop(last);
        ensure!(!set(), "wrong-wake", "Dropping the last waker set the flag.");
    }

    /// A flag waker costs no allocation, however often it is cloned.
    "3.6" fn a_flag_waker_allocates_nothing() {
        static FLAG: AtomicBool = AtomicBool::new(false);
        let count = allocations(|| {
            let waker = flag_waker(&FLAG);
            let clones = [waker.clone(), waker.clone(), waker];
            clones.into_iter().for_each(Waker::wake);
        });
        ensure!(
            count == 0,
            "allocates",
            "A flag waker and two clones of it take {count}; 0 are needed.",
            count = many(count, "allocation")
        );
    }

    /// Flag wakers of one flag know each other, also those made one by one; others do not.
    "3.6" fn flag_wakers_know_their_flag() {
        static FLAGS: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];
        let (first, again, other) =
            (flag_waker(&FLAGS[0]), flag_waker(&FLAGS[0]), flag_waker(&FLAGS[1]));
        for (what, same) in [("a clone", &first.clone()), ("another waker of its flag", &again)] {
            ensure!(
                know(&first, same),
                "not-the-same",
                "A flag waker and {what} do not know each other. {}",
                difference(&first, same)
            );
        }
        ensure!(
            !know(&first, &other),
            "not-the-same",
            "The wakers of two flags take each other for the same: both have the same pointer and \
             the same table."
        );
    }

    /// The mended table balances after every program of clone, wake_by_ref, wake and drop.
    "3.7" fn the_mended_table_balances() {
        every_program(if cfg!(miri) { 3 } else { 5 }, tallied);
    }

    /// The last waker with the mended table frees what is behind it, and does not use it afterwards.
    "3.7" fn the_last_tally_frees() {
        let make = || {
            let tally = Arc::new(AtomicUsize::new(0));
            (tally_waker(tally.clone()), tally)
        };
        the_last_waker(make, "drop", drop);
        the_last_waker(make, "wake()", Waker::wake);
        the_last_waker(make, "wake_by_ref()", |last| {
            last.wake_by_ref();
            drop(last);
        });
    }

    /// Clones of a waker with the mended table know each other.
    "3.7" fn mended_clones_know_each_other() {
        let (first, _behind) = tallied();
        let second = first.clone();
        ensure!(
            know(&first, &second),
            "not-the-same",
            "A waker with the mended table does not know its clone. {}",
            difference(&first, &second)
        );
    }

    /// Of two owners that leave at the same time, one is told to free.
    "3.8" fn one_of_two_owners_frees() {
        let leave = |owners: &Owners| usize::from(owners.remove());
        one_frees([leave, leave]);
    }

    /// The same, if one of them takes and gives back another share meanwhile.
    "3.8" fn one_frees_while_another_clones() {
        let leave = |owners: &Owners| usize::from(owners.remove());
        let clone_and_leave = |owners: &Owners| {
            owners.add();
            usize::from(owners.remove()) + usize::from(owners.remove())
        };
        one_frees([clone_and_leave, leave]);
    }
}
