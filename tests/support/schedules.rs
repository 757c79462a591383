//! Runs a few threads in every order of their points, and shows the orders that hang.
//!
//! A race that loses a wake once in a million runs loses it in one certain order. So no luck is
//! needed: stop every thread at every [`point`], let one of them go on at a time, and try all the
//! choices. What stands between two points runs as one step. All see the values of atomics in one
//! order; what their orderings hand on besides is kept count of in [`heard`](super::heard).

// The real one: in `tests/orders_*.rs` the model below stands in for `std`'s locks and atomics.
extern crate std as real;

use core::sync::atomic::{AtomicU32, Ordering};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use self::real::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::heard;

/// A thread of the play: its name and what it does.
pub struct Actor {
    name: &'static str,
    play: Box<dyn FnOnce() + Send>,
}

/// An actor by that name.
pub fn actor(name: &'static str, play: impl FnOnce() + Send + 'static) -> Actor {
    Actor { name, play: Box::new(play) }
}

/// A place where the other actors may come in between. Outside of [`every_order`]: nothing.
pub fn point(label: &'static str) {
    wait_until(label, || true);
}

/// A place where this actor waits until `ready`. If all wait and none is ready, the order hangs.
pub fn wait_until(label: &'static str, ready: impl Fn() -> bool + Send + 'static) {
    POINTS.set(POINTS.get() + 1);
    if IN_ONE_STEP.take() && ready() {
        return note(label);
    }
    let me = ME.with_borrow(Clone::clone);
    if let Some((me, stage)) = me.filter(|_| !thread::panicking()) {
        stage.wait_for_turn(me, Stop { label, ready: Box::new(ready) });
    }
}

/// Whether this thread is an actor's.
fn is_played() -> bool {
    ME.with_borrow(Option::is_some)
}

/// A line in the order that is shown, and no point: nobody comes in between.
pub fn note(label: &'static str) {
    if let Some((me, stage)) = ME.with_borrow(Clone::clone) {
        stage.scene.lock().unwrap().notes.push((me, label));
    }
}

/// The next point is part of this step: there are fewer orders to play where it makes no difference.
pub fn in_one_step_with_the_next() {
    IN_ONE_STEP.set(true);
}

/// From here on this actor does not stop at a lock of the [`model`] that is free: for plays whose steps
/// have names of their own.
pub fn pass_free_locks() {
    PASSES_LOCKS.set(true);
}

/// How many points `f` passes: none if it does not use the [`model`].
pub fn points(f: impl FnOnce()) -> u64 {
    let before = POINTS.get();
    f();
    POINTS.get() - before
}

/// Plays what `actors` makes, in every order.
pub fn every_order(actors: impl Fn() -> Vec<Actor>) -> Orders {
    let mut orders = Orders { total: 0, bad: Vec::new() };
    let mut path = Vec::new();
    loop {
        let order = play(actors(), &mut path);
        orders.total += 1;
        let endless = order.endless;
        orders.bad.extend(order.why.is_some().then_some(order));
        if endless {
            // There are as many more as one has patience for.
            return orders;
        }
        // The next path: the last choice that has an alternative takes it.
        while path.last().is_some_and(|choice: &Choice| choice.taken + 1 == choice.of) {
            path.pop();
        }
        match path.last_mut() {
            Some(choice) if orders.total < 50_000 => choice.taken += 1,
            _ => return orders,
        }
    }
}

/// What came out of playing every order.
#[derive(Debug)]
pub struct Orders {
    /// How many orders there are.
    pub total: usize,
    /// Those that hang or panic.
    pub bad: Vec<Order>,
}

impl Orders {
    /// The shortest of the bad ones.
    pub fn example(&self) -> Option<&Order> {
        self.bad.iter().min_by_key(|order| order.steps.len())
    }

    /// How many are bad, with what one does, or many do: `Of 10 orders 3 hang`.
    pub fn tally(&self, one: &str, many: &str) -> String {
        let do_what = if self.bad.len() == 1 { one } else { many };
        format!("Of {} {} {do_what}", super::many(self.total, "order"), self.bad.len())
    }
}

/// One order of steps.
#[derive(Debug)]
pub struct Order {
    /// The actors' names: the columns.
    actors: Vec<&'static str>,
    /// Whose turn it was, and what they were about to do.
    steps: Vec<(usize, &'static str)>,
    /// Whether it was ended because it went round in circles.
    endless: bool,
    /// Who stood at a slot when another actor's panic ended it.
    stood: Vec<usize>,
    /// What is wrong with this order, if anything.
    pub why: Option<String>,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (actor, label) in self.steps.iter().take(if self.endless { 10 } else { usize::MAX }) {
            let column = " ".repeat(26 * actor);
            writeln!(f, "  {column}{}: {label}", self.actors[*actor])?;
        }
        if self.endless {
            writeln!(f, "  … and so on")?;
        }
        for actor in &self.stood {
            let column = " ".repeat(26 * actor);
            writeln!(f, "  {column}{}, meanwhile: {AT_THE_SLOT}", self.actors[*actor])?;
        }
        write!(f, "  ⇒ {}", self.why.as_deref().unwrap_or("fine"))
    }
}

/// Which of the actors that could go on went on.
struct Choice {
    taken: usize,
    of: usize,
}

/// Where an actor has stopped.
struct Stop {
    label: &'static str,
    ready: Box<dyn Fn() -> bool + Send>,
}

/// What the actors and the director share.
#[derive(Default)]
struct Stage {
    scene: Mutex<Scene>,
    changed: Condvar,
    /// How often somebody has ended all sleeps for no reason.
    early: Arc<AtomicU32>,
}

#[derive(Default)]
struct Scene {
    /// Where each actor has stopped; `None` while it runs.
    stops: Vec<Option<Stop>>,
    /// Which actors have left.
    gone: Vec<bool>,
    /// What the actors have noted since the last step.
    notes: Vec<(usize, &'static str)>,
    /// Who may go on.
    turn: Option<usize>,
    /// The play is over, with some actors still waiting: they unwind.
    over: bool,
    /// The first panic of an actor.
    panic: Option<String>,
}

thread_local! {
    static ME: RefCell<Option<(usize, Arc<Stage>)>> = const { RefCell::new(None) };
    static IN_ONE_STEP: Cell<bool> = const { Cell::new(false) };
    static PASSES_LOCKS: Cell<bool> = const { Cell::new(false) };
    static POINTS: Cell<u64> = const { Cell::new(0) };
}

impl Stage {
    /// Stops actor `me` here until the director gives it the turn.
    fn wait_for_turn(&self, me: usize, stop: Stop) {
        let mut scene = self.scene.lock().unwrap();
        scene.stops[me] = Some(stop);
        self.changed.notify_all();
        scene =
            self.changed.wait_while(scene, |scene| scene.turn != Some(me) && !scene.over).unwrap();
        if scene.over {
            drop(scene);
            panic::resume_unwind(Box::new(Over));
        }
        scene.turn = None;
        scene.stops[me] = None;
    }

    /// Waits until actor `me` has stopped or left for the first time.
    fn has_begun(&self, me: usize) {
        let begins = |scene: &mut Scene| scene.stops[me].is_none() && !scene.gone[me];
        drop(self.changed.wait_while(self.scene.lock().unwrap(), begins).unwrap());
    }

    /// Waits until every actor has stopped or left.
    fn all_stopped(&self) -> MutexGuard<'_, Scene> {
        let moving = |scene: &mut Scene| {
            let runs = |i: usize| scene.stops[i].is_none() && !scene.gone[i];
            scene.turn.is_some() || (0..scene.gone.len()).any(runs)
        };
        self.changed.wait_while(self.scene.lock().unwrap(), moving).unwrap()
    }

    /// The whole life of an actor.
    fn act(self: Arc<Self>, me: usize, play: Box<dyn FnOnce() + Send>) {
        ME.set(Some((me, self.clone())));
        heard::begin(me);
        let result = panic::catch_unwind(AssertUnwindSafe(play));
        let mut scene = self.scene.lock().unwrap();
        if let Err(payload) = result
            && !payload.is::<Over>()
        {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()));
            scene.panic.get_or_insert(text.unwrap_or_default());
        }
        scene.gone[me] = true;
        self.changed.notify_all();
    }
}

/// The payload of an actor that unwinds because the play is over.
struct Over;

/// Where an actor stands while it uses a [`model::Exclusive`].
const AT_THE_SLOT: &str = "at the slot";

/// More steps than any play here needs: one that takes them goes round in circles.
const MOST_STEPS: usize = 200;

/// Plays one order: the choices of `path`, and the first possibility at every choice after it.
fn play(actors: Vec<Actor>, path: &mut Vec<Choice>) -> Order {
    let stage = Arc::new(Stage::default());
    let mut order = Order {
        actors: actors.iter().map(|actor| actor.name).collect(),
        steps: Vec::new(),
        endless: false,
        stood: Vec::new(),
        why: None,
    };
    {
        let mut scene = stage.scene.lock().unwrap();
        scene.stops.resize_with(actors.len(), || None);
        scene.gone.resize(actors.len(), false);
    }
    let threads = actors.into_iter().enumerate().map(|(me, Actor { play, .. })| {
        let actor = stage.clone();
        let thread = thread::spawn(move || actor.act(me, play));
        // What comes before the first point is a step as well: no two of them at once.
        stage.has_begun(me);
        thread
    });
    let threads = threads.collect::<Vec<_>>();

    for depth in 0.. {
        let mut scene = stage.all_stopped();
        order.steps.append(&mut scene.notes);
        let waiting = scene.stops.iter().flatten().map(|stop| stop.label).collect::<Vec<_>>();
        let can_go = |i: &usize| scene.stops[*i].as_ref().is_some_and(|stop| (stop.ready)());
        let ready = (0..scene.gone.len()).filter(can_go).collect::<Vec<_>>();
        order.why = match &scene.panic {
            Some(text) => Some(text.clone()),
            None if waiting.is_empty() => break,
            None if ready.is_empty() => Some(format!("nobody can go on: {}", waiting.join(", "))),
            None if depth == MOST_STEPS => {
                order.endless = true;
                Some("it goes round in circles".to_owned())
            }
            None => None,
        };
        if order.why.is_some() {
            if scene.panic.is_some() {
                let there = |stop: &Option<Stop>| {
                    stop.as_ref().is_some_and(|stop| stop.label == AT_THE_SLOT)
                };
                let actors = 0..scene.stops.len();
                order.stood = actors.filter(|i| there(&scene.stops[*i])).collect();
            }
            scene.over = true;
            stage.changed.notify_all();
            break;
        }
        match path.get_mut(depth) {
            None => path.push(Choice { taken: 0, of: ready.len() }),
            Some(choice) if choice.of == ready.len() => {}
            // It depends on more than the order, on a clock perhaps: another play than the last one, which
            // went this way. What can be played of the path is.
            Some(choice) => {
                *choice = Choice { taken: choice.taken.min(ready.len() - 1), of: ready.len() };
            }
        }
        let next = ready[path[depth].taken];
        let label = scene.stops[next].as_ref().expect("who is ready has stopped").label;
        order.steps.push((next, label));
        scene.turn = Some(next);
        stage.changed.notify_all();
    }
    for thread in threads {
        thread.join().expect("an actor's panics are caught");
    }
    order
}

/// Ends every sleep that has begun, in [`model::thread::park`] or on a [`model::Condvar`], although
/// nobody was woken: std's may do that, too.
pub fn end_sleeps_early() {
    point("end a sleep, for no reason");
    if let Some((_, stage)) = ME.with_borrow(Clone::clone) {
        stage.early.fetch_add(1, Ordering::SeqCst);
    }
}

/// std's atomics, locks and parking, with a [`point`] before every step, so that code written for
/// std can be played in every order. Outside of [`every_order`] they do what std's do.
pub mod model {
    // `core`'s, for in `tests/orders_*.rs` this module stands in for `std`'s.
    use core::panic::Location;
    use core::sync::atomic;
    pub use core::sync::atomic::Ordering;
    use core::time::Duration;
    use std::collections::VecDeque;

    use super::real::thread::{ThreadId, current};
    use super::real::{panic, sync};
    use super::{AT_THE_SLOT, ME, PASSES_LOCKS, is_played, point, wait_until};
    use crate::support::fail;
    use crate::support::heard::{self, Handed};

    macro_rules! atomic {
        (
            $name:ident, $value:ty, $store:expr, $swap:expr, $($change:ident)*
        ) => {
            #[doc = concat!("As [`std::sync::atomic::", stringify!($name), "`]; every operation is a point.")]
            #[derive(Debug, Default)]
            pub struct $name {
                value: atomic::$name,
                handed: Handed,
            }

            impl From<$value> for $name {
                fn from(value: $value) -> Self {
                    $name::new(value)
                }
            }

            impl $name {
                /// As std's.
                pub const fn new(value: $value) -> Self {
                    $name { value: atomic::$name::new(value), handed: Handed::new() }
                }

                /// As std's.
                pub fn load(&self, order: Ordering) -> $value {
                    point("load");
                    self.handed.load(order);
                    self.value.load(order)
                }

                /// As std's.
                pub fn store(&self, value: $value, order: Ordering) {
                    point($store(value));
                    self.handed.store(order);
                    self.value.store(value, order);
                }

                /// As std's.
                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    point($swap(value));
                    self.handed.change(order);
                    self.value.swap(value, order)
                }

                $(
                    /// As std's.
                    pub fn $change(&self, value: $value, order: Ordering) -> $value {
                        point(stringify!($change));
                        self.handed.change(order);
                        self.value.$change(value, order)
                    }
                )*

                /// As std's.
                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    point("compare_exchange");
                    let result = self.value.compare_exchange(current, new, success, failure);
                    match result {
                        Ok(_) => self.handed.change(success),
                        Err(_) => self.handed.load(failure),
                    }
                    result
                }

                /// As std's, but it does not fail for no reason.
                pub fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(current, new, success, failure)
                }
            }
        };
    }

    atomic!(
        AtomicBool,
        bool,
        |value| if value { "store(true)" } else { "store(false)" },
        |value| if value { "swap(true)" } else { "swap(false)" },
        fetch_or fetch_and fetch_xor
    );
    atomic!(
        AtomicU8,
        u8,
        |_| "store",
        |_| "swap",
        fetch_or fetch_and fetch_xor fetch_add fetch_sub
    );
    atomic!(AtomicUsize, usize, |_| "store", |_| "swap", fetch_or fetch_and fetch_add fetch_sub);

    /// As [`std::sync::atomic::fence`].
    pub fn fence(order: Ordering) {
        point("fence");
        heard::fence(order);
        atomic::fence(order);
    }

    /// Whether somebody has ended all sleeps for no reason since this was called.
    fn ended_early() -> impl Fn() -> bool + Send + 'static {
        let count = ME.with_borrow(|me| me.as_ref().map(|(_, stage)| stage.early.clone()));
        let before = count.as_ref().map(|count| count.load(Ordering::SeqCst));
        move || count.as_ref().map(|count| count.load(Ordering::SeqCst)) != before
    }

    /// As [`std::thread`], with a model of parking.
    pub mod thread {
        use core::ops::Deref;
        use core::sync::atomic::{AtomicBool, Ordering};

        use super::super::real;
        pub use super::super::real::thread::*;
        use super::{Duration, Handed, ended_early, is_played, point, sync::Arc, wait_until};

        thread_local! {
            static TOKEN: Arc<Token> = Arc::default();
        }

        /// What `unpark` leaves with an actor.
        #[derive(Debug, Default)]
        struct Token {
            is_there: AtomicBool,
            handed: Handed,
        }

        /// As [`std::thread::Thread`].
        #[derive(Clone, Debug)]
        pub struct Thread {
            token: Arc<Token>,
            thread: real::thread::Thread,
        }

        /// As [`std::thread::current`].
        pub fn current() -> Thread {
            Thread { token: TOKEN.with(Clone::clone), thread: real::thread::current() }
        }

        /// As [`std::thread::park`]; in a play it returns early only if somebody makes it.
        pub fn park() {
            if !is_played() {
                point("park");
                return real::thread::park();
            }
            let (token, ended_early) = (TOKEN.with(Clone::clone), ended_early());
            let there = token.clone();
            wait_until("park", move || there.is_there.load(Ordering::SeqCst) || ended_early());
            token.take();
        }

        /// As [`std::thread::park_timeout`]; in a play there is no time: it returns at once.
        pub fn park_timeout(limit: Duration) {
            point("park_timeout");
            if !is_played() {
                return real::thread::park_timeout(limit);
            }
            TOKEN.with(|token| token.take());
        }

        impl Token {
            fn take(&self) {
                if self.is_there.swap(false, Ordering::SeqCst) {
                    self.handed.load(Ordering::Acquire);
                }
            }
        }

        impl Thread {
            /// As [`std::thread::Thread::unpark`].
            pub fn unpark(&self) {
                point("unpark");
                if !is_played() {
                    return self.thread.unpark();
                }
                self.token.handed.change(Ordering::Release);
                self.token.is_there.store(true, Ordering::SeqCst);
            }
        }

        impl Deref for Thread {
            type Target = real::thread::Thread;

            fn deref(&self) -> &real::thread::Thread {
                &self.thread
            }
        }
    }

    /// What one thread at a time may touch, and no lock sees to it: as [`std::cell::UnsafeCell`],
    /// but two threads that are here at once end the play instead of the program's meaning.
    #[derive(Debug, Default)]
    pub struct Exclusive<T>(sync::Mutex<T>);

    impl<T> Exclusive<T> {
        /// Holds `value`.
        pub const fn new(value: T) -> Self {
            Exclusive(sync::Mutex::new(value))
        }

        /// Does something with what is here. To be doing it takes a point.
        pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            // Before the point, so that whoever comes while we stand there finds us.
            let Ok(mut here) = self.0.try_lock() else {
                // The end of this play, and not of the check: so no hook hears of this panic.
                let text = "two threads are at the slot at once";
                panic::resume_unwind(Box::new(text.to_owned()));
            };
            point(AT_THE_SLOT);
            f(&mut here)
        }
    }

    /// As [`std::sync::Mutex`]: to lock it is a point, and who finds it locked waits there. A thread that
    /// has locked it itself would wait for ever, and is told so.
    #[derive(Debug, Default)]
    pub struct Mutex<T> {
        /// Made at first use, for [`new`](Self::new) is `const`.
        locked: sync::OnceLock<sync::Arc<atomic::AtomicBool>>,
        /// Who has locked it, and in which line, as long as it is locked.
        by: sync::Mutex<Option<(ThreadId, &'static Location<'static>)>>,
        handed: Handed,
        data: sync::Mutex<T>,
    }

    /// As [`std::sync::MutexGuard`].
    #[derive(Debug)]
    pub struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
        /// `None` only while it is being given up.
        data: Option<sync::MutexGuard<'a, T>>,
    }

    impl<T> Mutex<T> {
        /// As std's.
        pub const fn new(data: T) -> Self {
            let data = sync::Mutex::new(data);
            let by = sync::Mutex::new(None);
            Mutex { locked: sync::OnceLock::new(), by, handed: Handed::new(), data }
        }

        /// As std's, but not poisoned in a play: when it is over, its actors unwind.
        #[track_caller]
        pub fn lock(&self) -> sync::LockResult<MutexGuard<'_, T>> {
            self.is_not_ours(Location::caller());
            let locked = self.locked().clone();
            let is_free = move || !locked.load(Ordering::SeqCst);
            if !(PASSES_LOCKS.get() && is_free()) {
                wait_until("lock", is_free);
            }
            let held = self.data.lock();
            let poisoned = held.is_err() && !is_played();
            let guard = self.locked_by(held.unwrap_or_else(sync::PoisonError::into_inner));
            if poisoned { Err(sync::PoisonError::new(guard)) } else { Ok(guard) }
        }

        /// As std's.
        pub fn into_inner(self) -> sync::LockResult<T> {
            self.data.into_inner()
        }

        fn locked(&self) -> &sync::Arc<atomic::AtomicBool> {
            self.locked.get_or_init(Default::default)
        }

        /// Ends the check if this thread is about to wait for itself.
        fn is_not_ours(&self, here: &Location<'_>) {
            let by = *self.by.lock().unwrap();
            if let Some((thread, there)) = by
                && thread == current().id()
            {
                fail!(
                    "never-returns",
                    "A thread waits for itself: it locks in {}:{} what it has locked in {}:{}, and the \
                     guard of that is still there.",
                    here.file(),
                    here.line(),
                    there.file(),
                    there.line()
                );
            }
        }

        #[track_caller]
        fn locked_by<'a>(&'a self, data: sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.locked().store(true, Ordering::SeqCst);
            *self.by.lock().unwrap() = Some((current().id(), Location::caller()));
            self.handed.load(Ordering::Acquire);
            MutexGuard { mutex: self, data: Some(data) }
        }
    }

    impl<'a, T> MutexGuard<'a, T> {
        /// Gives the lock up, as far as the play is concerned.
        fn give_up(&mut self) -> sync::MutexGuard<'a, T> {
            self.mutex.handed.store(Ordering::Release);
            *self.mutex.by.lock().unwrap() = None;
            self.mutex.locked().store(false, Ordering::SeqCst);
            self.data.take().expect("it is given up once")
        }
    }

    impl<T> core::ops::Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.data.as_ref().expect("it has not been given up")
        }
    }

    impl<T> core::ops::DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.data.as_mut().expect("it has not been given up")
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            if self.data.is_some() {
                drop(self.give_up());
            }
        }
    }

    /// As [`std::sync::Condvar`]: to begin to wait, to leave the wait and to notify are points.
    #[derive(Debug, Default)]
    pub struct Condvar {
        /// Each who waits in a play, with what tells that it was notified.
        waiting: sync::Mutex<VecDeque<sync::Arc<atomic::AtomicBool>>>,
        condvar: sync::Condvar,
    }

    impl Condvar {
        /// As std's.
        pub const fn new() -> Self {
            Condvar { waiting: sync::Mutex::new(VecDeque::new()), condvar: sync::Condvar::new() }
        }

        /// As std's; in a play it returns early only if somebody makes it.
        #[track_caller]
        pub fn wait<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
        ) -> sync::LockResult<MutexGuard<'a, T>> {
            point("wait");
            let mutex = guard.mutex;
            if !is_played() {
                let data = self.condvar.wait(guard.give_up());
                return Ok(mutex.locked_by(data.unwrap_or_else(sync::PoisonError::into_inner)));
            }
            let notified = sync::Arc::new(atomic::AtomicBool::new(false));
            self.waiting.lock().unwrap().push_back(notified.clone());
            drop(guard.give_up());
            let (free, ended_early) = (mutex.locked().clone(), ended_early());
            let told = notified.clone();
            wait_until("leave the wait", move || {
                let ended = told.load(Ordering::SeqCst) || ended_early();
                ended && !free.load(Ordering::SeqCst)
            });
            self.waiting.lock().unwrap().retain(|one| !sync::Arc::ptr_eq(one, &notified));
            Ok(mutex.locked_by(mutex.data.lock().unwrap_or_else(sync::PoisonError::into_inner)))
        }

        /// As std's.
        #[track_caller]
        pub fn wait_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            mut condition: impl FnMut(&mut T) -> bool,
        ) -> sync::LockResult<MutexGuard<'a, T>> {
            while condition(&mut guard) {
                guard = self.wait(guard)?;
            }
            Ok(guard)
        }

        /// As std's; in a play there is no time: the limit has passed at once.
        #[track_caller]
        pub fn wait_timeout<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            limit: Duration,
        ) -> sync::LockResult<(MutexGuard<'a, T>, sync::WaitTimeoutResult)> {
            point("wait_timeout");
            let (mutex, limit) = (guard.mutex, if is_played() { Duration::ZERO } else { limit });
            let waited = self.condvar.wait_timeout(guard.give_up(), limit);
            let (data, result) = waited.unwrap_or_else(sync::PoisonError::into_inner);
            Ok((mutex.locked_by(data), result))
        }

        /// As std's.
        #[track_caller]
        pub fn wait_timeout_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            limit: Duration,
            condition: impl FnMut(&mut T) -> bool,
        ) -> sync::LockResult<(MutexGuard<'a, T>, sync::WaitTimeoutResult)> {
            point("wait_timeout_while");
            let (mutex, limit) = (guard.mutex, if is_played() { Duration::ZERO } else { limit });
            let waited = self.condvar.wait_timeout_while(guard.give_up(), limit, condition);
            let (data, result) = waited.unwrap_or_else(sync::PoisonError::into_inner);
            Ok((mutex.locked_by(data), result))
        }

        /// As std's.
        pub fn notify_one(&self) {
            point("notify_one");
            let first = self.waiting.lock().unwrap().pop_front();
            first.into_iter().for_each(|one| one.store(true, Ordering::SeqCst));
            self.condvar.notify_one();
        }

        /// As std's.
        pub fn notify_all(&self) {
            point("notify_all");
            self.waiting
                .lock()
                .unwrap()
                .drain(..)
                .for_each(|one| one.store(true, Ordering::SeqCst));
            self.condvar.notify_all();
        }
    }
}
