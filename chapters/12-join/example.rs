//! Layer 12 at work: futures side by side in one task, and how often they are polled.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use under_await::ch01_future::{poll_once, yield_now};
use under_await::ch04_park::block_on;
use under_await::ch05_handoff::thread_sleep;
use under_await::ch12_join::join_all_naive;
use under_await::ledger::watch;
use under_await::{join, join_all};

use expansion::expanded;

#[path = "expansion.rs"]
mod expansion;

fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    match book_and_music(out).and_then(|()| in_step(out)).and_then(|()| polls(out)) {
        // Whoever reads us has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// What the chapter's trace shows: two futures in a `join!`, the second of which is done first.
#[allow(dead_code)] // The trace is recorded elsewhere.
pub(crate) fn scene() {
    let sleep = |ms| thread_sleep(Duration::from_millis(ms));
    block_on(async { join!(watch("book", sleep(60)), watch("music", sleep(20))) });
}

// ANCHOR: book_and_music
#[derive(Debug)]
struct Book {
    #[allow(dead_code)] // It is printed.
    name: &'static str,
}

#[derive(Debug)]
struct Music {
    #[allow(dead_code)] // It is printed.
    title: &'static str,
}

async fn get_book() -> Book {
    thread_sleep(Duration::from_millis(60)).await;
    Book { name: "Rust" }
}

async fn get_music() -> Music {
    thread_sleep(Duration::from_millis(40)).await;
    Music { title: "Nice" }
}
// ANCHOR_END: book_and_music

fn book_and_music(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "A book that takes 60 ms and a piece of music that takes 40\n")?;
    let one_by_one = async { (get_book().await, get_music().await) };
    let ((book, music), time) = timed(one_by_one);
    writeln!(out, "  {:<28}{time:>9}", "one .await after the other")?;
    let (_, time) = timed(async { join!(get_book(), get_music()) });
    writeln!(out, "  {:<28}{time:>9}", "join!")?;
    let (_, time) = timed(expanded(get_book(), get_music()));
    writeln!(out, "  {:<28}{time:>9}", "futures::join!, expanded")?;
    writeln!(out, "\n  {book:?}, {music:?}")
}

/// The output of `future`, and how long it took to the nearest 20 ms.
fn timed<T>(future: impl Future<Output = T>) -> (T, String) {
    let start = Instant::now();
    let output = block_on(future);
    let ms = (start.elapsed().as_millis() as f64 / 20.0).round() * 20.0;
    (output, format!("~{ms} ms"))
}

fn in_step(out: &mut impl Write) -> io::Result<()> {
    let steps = RefCell::new(String::new());
    let walk = async |name: char| {
        for step in 0..3 {
            steps.borrow_mut().push_str(&format!(" {name}{step}"));
            yield_now().await;
        }
    };
    block_on(async { join!(walk('a'), walk('b')) });
    writeln!(out, "\nTwo that give way after every step:{}", steps.take())
}

fn polls(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nPolls of n futures that are done one at a time\n")?;
    writeln!(out, "{:>8}{:>18}{:>12}", "n", "join_all_naive", "join_all")?;
    for n in [30, 300, 1000] {
        let children = |shared: &Rc<Shared>| {
            let shared = shared.clone();
            (0..n).map(move |number| child(number, shared.clone()))
        };
        let naive = one_at_a_time(n, |shared| join_all_naive(children(shared)));
        let ours = one_at_a_time(n, |shared| join_all(children(shared)));
        writeln!(out, "{n:>8}{naive:>18}{ours:>12}")?;
    }
    Ok(())
}

/// What the futures of a join and whoever ends them share.
#[derive(Default)]
struct Shared {
    /// The polls of all futures.
    polls: Cell<u32>,
    /// How many of them are done.
    done: Cell<usize>,
    /// The wakers of their latest polls.
    wakers: RefCell<Vec<Option<Waker>>>,
}

/// A future that is ready when as many are done as come before it, and itself.
async fn child(number: usize, shared: Rc<Shared>) {
    poll_fn(|cx| {
        shared.polls.set(shared.polls.get() + 1);
        shared.wakers.borrow_mut()[number] = Some(cx.waker().clone());
        if number < shared.done.get() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await
}

/// How often the `n` futures that `join` is called with are polled if they are done one at a time.
fn one_at_a_time<J: Future>(n: usize, join: impl Fn(&Rc<Shared>) -> J) -> u32 {
    let shared = Rc::new(Shared::default());
    shared.wakers.borrow_mut().resize(n, None);
    let mut joined = pin!(join(&shared));
    for number in 0..n {
        let _ = poll_once(joined.as_mut());
        shared.done.set(number + 1);
        let waker = shared.wakers.borrow_mut()[number].take();
        waker.into_iter().for_each(Waker::wake);
    }
    assert!(poll_once(joined).is_ready(), "all are done");
    shared.polls.get()
}
