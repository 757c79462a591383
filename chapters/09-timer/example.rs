//! Ten thousand sleeps on one thread, and how late half of them are at most. With the argument
//! `rounding` it counts the waits of a sleep whose timeout is rounded, down and up; with `wheel` it
//! measures the ordered map against the wheel of the exercises.

#[cfg(not(unix))]
fn main() {
    println!("This example needs a Unix: it waits in poll(2).");
}

#[cfg(unix)]
#[path = "extend.rs"]
#[allow(dead_code, unreachable_pub)] // It is shared with the exercises.
mod extend;

#[cfg(unix)]
use under_await::time::sleep_until;

#[cfg(unix)]
#[allow(unused_imports)]
pub(crate) use on_unix::{main, scene};

#[cfg(unix)]
mod on_unix {
    use std::cell::RefCell;
    use std::env;
    use std::hint::black_box;
    use std::io::{self, ErrorKind, Write};
    use std::task::Waker;
    use std::time::{Duration, Instant};

    use futures::future::{join, join_all};
    use under_await::ch05_handoff::thread_sleep;
    use under_await::ch08_poll;
    use under_await::ch09_timer::{Key, Timers, block_on, sleep};
    use under_await::ledger::{Event, Ledger, watch};
    use under_await::sys::cpu_time;

    use super::extend::{Wheel, milliseconds, milliseconds_in_short};

    pub(crate) fn main() -> io::Result<()> {
        let out = &mut io::stdout().lock();
        let shown = match env::args().nth(1).as_deref() {
            Some("rounding") => show_rounding(out),
            Some("wheel") => show_wheel(out),
            _ => show_sleeps(out),
        };
        match shown {
            // Whoever reads us has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            shown => shown,
        }
    }

    fn show_sleeps(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Sleeps of 100 to 500 ms, side by side on one `block_on`\n")?;
        writeln!(out, "  {:19}sleeps   waits   CPU time   too early   late, median", "")?;
        row(out, "a thread for each", 1_000, thread_sleep)?;
        row(out, "a timer for each", 10_000, sleep)
    }

    /// A line of the table: `n` sleeps, each made by `sleep`.
    fn row(
        out: &mut impl Write,
        name: &str,
        n: u32,
        sleep: impl AsyncFn(Duration),
    ) -> io::Result<()> {
        let lateness = RefCell::new(Vec::new());
        // Not in the order of their deadlines: 7,919 is a prime, so each number comes once.
        let [shortest, longest] = [100, 500].map(Duration::from_millis);
        let durations = (0..n).map(|i| shortest + (longest - shortest) / n * (i * 7_919 % n));
        let sleeps = join_all(durations.map(async |duration| {
            let deadline = Instant::now() + duration;
            sleep(duration).await;
            lateness.borrow_mut().push(Instant::now().checked_duration_since(deadline));
        }));

        let (ledger, busy) = (Ledger::open(), cpu_time());
        block_on(sleeps);
        let busy = cpu_time().zip(busy).map(|(now, then)| now - then);
        Ledger::close();
        let busy = busy.map_or("unknown".to_owned(), |busy| about(busy.as_micros(), 1000) + " ms");
        let early = lateness.borrow().iter().filter(|late| late.is_none()).count();
        let mut late = lateness.take().into_iter().flatten().collect::<Vec<_>>();
        late.sort_unstable();
        let median = about(late.get(late.len() / 2).map_or(0, Duration::as_micros), 1000) + " ms";
        let (n, waits) = (number(n.into()), about(waits(&ledger).into(), 1));
        writeln!(out, "  {name:18}{n:>7} {waits:>7} {busy:>10} {early:>11} {median:>14}")
    }

    /// How often the thread has waited in the kernel.
    fn waits(ledger: &Ledger) -> u64 {
        ledger.count(Event::Call("poll")) + ledger.count(Event::Call("select"))
    }

    fn show_rounding(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "One sleep of 2.5 ms in poll(2), which counts in milliseconds\n")?;
        writeln!(out, "  rounded    waits     late")?;
        for (name, rounded) in
            [("down", milliseconds_in_short as fn(Option<Duration>) -> i32), ("up", milliseconds)]
        {
            let (deadline, mut waits) = (Instant::now() + Duration::from_micros(2500), 0);
            let late = loop {
                let now = Instant::now();
                let Some(left) = deadline.checked_duration_since(now) else { break now - deadline };
                let timeout = Duration::from_millis(rounded(Some(left)) as u64);
                ch08_poll::wait(Some(timeout), || false)?;
                waits += 1;
            };
            let late = about(late.as_micros(), 1000) + " ms";
            // Rounded up, the first wait is always the last.
            let waits = if name == "up" { number(waits) } else { about(waits, 1) };
            writeln!(out, "  {name:7} {waits:>8} {late:>8}")?;
        }
        Ok(())
    }

    fn show_wheel(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "To put in a timer and take it out again, among so many others\n")?;
        writeln!(out, "     others        map      wheel")?;
        for others in [100, 10_000, 1_000_000] {
            let (start, mut map, mut wheel) = (Instant::now(), Timers::default(), Wheel::new());
            let deadline = |n: u64| n * 7_919 % 60_000;
            let key = |n| Key::new(start + Duration::from_millis(deadline(n)));
            for n in 0..others {
                map.insert(key(n), Waker::noop().clone());
                wheel.insert(deadline(n), n);
            }
            let map = nanoseconds(others, |n| {
                let key = key(n);
                map.insert(key, Waker::noop().clone());
                map.remove(key);
            });
            let wheel = nanoseconds(others, |n| {
                let tick = wheel.insert(deadline(n), n);
                wheel.remove(tick, n);
            });
            let [map, wheel] = [map, wheel].map(|each| about(each, 1) + " ns");
            writeln!(out, "  {:>9} {map:>10} {wheel:>10}", number(others.into()))?;
        }
        Ok(())
    }

    /// How long it takes to do `work` once: on average in the best of many rounds, for the others were
    /// interrupted.
    fn nanoseconds(first: u64, mut work: impl FnMut(u64)) -> u128 {
        const TIMES: u64 = 1_000;
        let round = |round: u64| {
            let (start, first) = (Instant::now(), first + round * TIMES);
            (first..first + TIMES).for_each(|n| work(black_box(n)));
            start.elapsed().as_nanos() / u128::from(TIMES)
        };
        (0..20).map(round).min().unwrap_or_default()
    }

    /// `amount / unit` with two digits that count, after a `~`: another run gives another number.
    fn about(amount: u128, unit: u128) -> String {
        match amount {
            _ if amount >= 10 * unit => {
                let rounded = amount / unit;
                let step = 10_u128.pow(rounded.ilog10() - 1);
                format!("~{}", number((rounded + step / 2) / step * step))
            }
            _ if unit == 1 => format!("~{amount}"),
            _ => format!("~{:.1}", amount as f64 / unit as f64),
        }
    }

    /// `1,234` for 1234.
    fn number(n: u128) -> String {
        if n < 1000 { n.to_string() } else { format!("{},{:03}", number(n / 1000), n % 1000) }
    }

    /// What the chapter's trace shows: two sleeps, side by side.
    #[allow(dead_code)] // The test of the book calls it.
    pub(crate) fn scene() {
        // What it takes to make the reactor is the business of chapter 8.
        let ledger = Ledger::current();
        Ledger::close();
        block_on(async {});
        if let Some(ledger) = ledger {
            ledger.attach();
        }
        let sleep = |ms| sleep(Duration::from_millis(ms));
        block_on(join(watch("long", sleep(60)), watch("short", sleep(20))));
    }
}
