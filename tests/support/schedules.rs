//! Runs a few threads in every order of their points, and shows the orders that hang.
//!
//! A race that loses a wake once in a million runs loses it in one certain order. So no luck is
//! needed: stop every thread at every [`point`], let one of them go on at a time, and try all the
//! choices. What stands between two points runs as one step. Memory is seen in one order by all;
//! weaker ones are loom's business.

// The real one: in `tests/orders_*.rs` the model below stands in for `std`'s locks and atomics.
extern crate std as real;

use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use self::real::sync::{Arc, Condvar, Mutex, MutexGuard};

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
    let me = ME.with_borrow(Clone::clone);
    if let Some((me, stage)) = me.filter(|_| !thread::panicking()) {
        stage.wait_for_turn(me, Stop { label, ready: Box::new(ready) });
    }
}

/// Whether this thread is an actor's.
fn is_played() -> bool {
    ME.with_borrow(Option::is_some)
}

/// Plays what `actors` makes, in every order.
pub fn every_order(actors: impl Fn() -> Vec<Actor>) -> Orders {
    let mut orders = Orders { total: 0, bad: Vec::new() };
    let mut path = Vec::new();
    loop {
        let order = play(actors(), &mut path);
        orders.total += 1;
        let endless = order.steps.len() == MOST_STEPS;
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

/// One order of steps.
#[derive(Debug)]
pub struct Order {
    /// The actors' names: the columns.
    actors: Vec<&'static str>,
    /// Whose turn it was, and what they were about to do.
    steps: Vec<(usize, &'static str)>,
    /// Who stood at a slot when another actor's panic ended it.
    stood: Vec<usize>,
    /// What is wrong with this order, if anything.
    pub why: Option<String>,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endless = self.steps.len() == MOST_STEPS;
        for (actor, label) in self.steps.iter().take(if endless { 10 } else { MOST_STEPS }) {
            let column = " ".repeat(26 * actor);
            writeln!(f, "  {column}{}: {label}", self.actors[*actor])?;
        }
        if endless {
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
}

#[derive(Default)]
struct Scene {
    /// Where each actor has stopped; `None` while it runs.
    stops: Vec<Option<Stop>>,
    /// Which actors have left.
    gone: Vec<bool>,
    /// Who may go on.
    turn: Option<usize>,
    /// The play is over, with some actors still waiting: they unwind.
    over: bool,
    /// The first panic of an actor.
    panic: Option<String>,
}

thread_local! {
    static ME: RefCell<Option<(usize, Arc<Stage>)>> = const { RefCell::new(None) };
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
        stood: Vec::new(),
        why: None,
    };
    {
        let mut scene = stage.scene.lock().unwrap();
        scene.stops.resize_with(actors.len(), || None);
        scene.gone.resize(actors.len(), false);
    }
    let threads = actors.into_iter().enumerate().map(|(me, Actor { play, .. })| {
        let stage = stage.clone();
        thread::spawn(move || stage.act(me, play))
    });
    let threads = threads.collect::<Vec<_>>();

    for depth in 0.. {
        let mut scene = stage.all_stopped();
        let waiting = scene.stops.iter().flatten().map(|stop| stop.label).collect::<Vec<_>>();
        let can_go = |i: &usize| scene.stops[*i].as_ref().is_some_and(|stop| (stop.ready)());
        let ready = (0..scene.gone.len()).filter(can_go).collect::<Vec<_>>();
        order.why = match &scene.panic {
            Some(text) => Some(text.clone()),
            None if waiting.is_empty() => break,
            None if ready.is_empty() => Some(format!("nobody can go on: {}", waiting.join(", "))),
            None if depth == MOST_STEPS => Some("it goes round in circles".to_owned()),
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
        if depth == path.len() {
            path.push(Choice { taken: 0, of: ready.len() });
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

/// std's atomics and parking, with a [`point`] before every step, so that code written for std can
/// be played in every order.
pub mod model {
    // `core`'s, for in `tests/orders_*.rs` this module stands in for `std`'s.
    use core::sync::atomic::{self, Ordering};

    use super::real::{panic, sync};
    use super::{AT_THE_SLOT, is_played, point, wait_until};

    /// As [`std::sync::atomic::AtomicBool`]; every operation is a point.
    #[derive(Debug, Default)]
    pub struct AtomicBool(atomic::AtomicBool);

    impl AtomicBool {
        /// As std's.
        pub const fn new(value: bool) -> Self {
            AtomicBool(atomic::AtomicBool::new(value))
        }

        /// As std's.
        pub fn load(&self, order: Ordering) -> bool {
            point("load");
            self.0.load(order)
        }

        /// As std's.
        pub fn store(&self, value: bool, order: Ordering) {
            point(if value { "store(true)" } else { "store(false)" });
            self.0.store(value, order);
        }

        /// As std's.
        pub fn swap(&self, value: bool, order: Ordering) -> bool {
            point(if value { "swap(true)" } else { "swap(false)" });
            self.0.swap(value, order)
        }
    }

    /// As [`std::sync::atomic::AtomicUsize`], as far as a count needs it; every operation is a
    /// point.
    #[derive(Debug, Default)]
    pub struct AtomicUsize(atomic::AtomicUsize);

    impl AtomicUsize {
        /// As std's.
        pub const fn new(value: usize) -> Self {
            AtomicUsize(atomic::AtomicUsize::new(value))
        }

        /// As std's.
        pub fn load(&self, order: Ordering) -> usize {
            point("load");
            self.0.load(order)
        }

        /// As std's.
        pub fn store(&self, value: usize, order: Ordering) {
            point("store");
            self.0.store(value, order);
        }

        /// As std's.
        pub fn fetch_add(&self, value: usize, order: Ordering) -> usize {
            point("fetch_add");
            self.0.fetch_add(value, order)
        }

        /// As std's.
        pub fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
            point("fetch_sub");
            self.0.fetch_sub(value, order)
        }
    }

    /// As [`std::thread`], as far as it parks.
    pub mod thread {
        use core::sync::atomic::{AtomicBool, Ordering};
        use std::sync::Arc;

        use super::{point, wait_until};

        thread_local! {
            static TOKEN: Arc<AtomicBool> = Arc::default();
        }

        /// As [`std::thread::Thread`].
        #[derive(Clone, Debug)]
        pub struct Thread(Arc<AtomicBool>);

        /// As [`std::thread::current`].
        pub fn current() -> Thread {
            Thread(TOKEN.with(Clone::clone))
        }

        /// As [`std::thread::park`], but it never returns early.
        pub fn park() {
            let Thread(token) = current();
            let ready = token.clone();
            wait_until("park", move || ready.load(Ordering::SeqCst));
            token.store(false, Ordering::SeqCst);
        }

        impl Thread {
            /// As [`std::thread::Thread::unpark`].
            pub fn unpark(&self) {
                point("unpark");
                self.0.store(true, Ordering::SeqCst);
            }
        }
    }

    /// As [`std::sync::atomic::AtomicU8`], as far as states need it; every operation is a point.
    #[derive(Debug, Default)]
    pub struct AtomicU8(atomic::AtomicU8);

    impl AtomicU8 {
        /// As std's.
        pub const fn new(value: u8) -> Self {
            AtomicU8(atomic::AtomicU8::new(value))
        }

        /// As std's.
        pub fn load(&self, order: Ordering) -> u8 {
            point("load");
            self.0.load(order)
        }

        /// As std's.
        pub fn store(&self, value: u8, order: Ordering) {
            point("store");
            self.0.store(value, order);
        }

        /// As std's.
        pub fn swap(&self, value: u8, order: Ordering) -> u8 {
            point("swap");
            self.0.swap(value, order)
        }

        /// As std's.
        pub fn fetch_or(&self, value: u8, order: Ordering) -> u8 {
            point("fetch_or");
            self.0.fetch_or(value, order)
        }

        /// As std's.
        pub fn fetch_and(&self, value: u8, order: Ordering) -> u8 {
            point("fetch_and");
            self.0.fetch_and(value, order)
        }

        /// As std's.
        pub fn compare_exchange(
            &self,
            current: u8,
            new: u8,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u8, u8> {
            point("compare_exchange");
            self.0.compare_exchange(current, new, success, failure)
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

    /// As [`std::sync::Mutex`]: to lock it is a point, and who finds it locked waits there.
    #[derive(Debug, Default)]
    pub struct Mutex<T> {
        /// Made at first use, for [`new`](Self::new) is `const`.
        locked: sync::OnceLock<sync::Arc<atomic::AtomicBool>>,
        data: sync::Mutex<T>,
    }

    /// As [`std::sync::MutexGuard`].
    #[derive(Debug)]
    pub struct MutexGuard<'a, T> {
        locked: &'a atomic::AtomicBool,
        data: sync::MutexGuard<'a, T>,
    }

    impl<T> Mutex<T> {
        /// As std's.
        pub const fn new(data: T) -> Self {
            Mutex { locked: sync::OnceLock::new(), data: sync::Mutex::new(data) }
        }

        /// As std's, but not poisoned in a play: when it is over, its actors unwind.
        pub fn lock(&self) -> sync::LockResult<MutexGuard<'_, T>> {
            let locked = self.locked.get_or_init(Default::default);
            let free = locked.clone();
            wait_until("lock", move || !free.load(Ordering::SeqCst));
            let held = self.data.lock();
            let poisoned = held.is_err() && !is_played();
            let data = held.unwrap_or_else(sync::PoisonError::into_inner);
            locked.store(true, Ordering::SeqCst);
            let guard = MutexGuard { locked, data };
            if poisoned { Err(sync::PoisonError::new(guard)) } else { Ok(guard) }
        }

        /// As std's.
        pub fn into_inner(self) -> sync::LockResult<T> {
            self.data.into_inner()
        }
    }

    impl<T> core::ops::Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.data
        }
    }

    impl<T> core::ops::DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.data
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.locked.store(false, Ordering::SeqCst);
        }
    }
}
