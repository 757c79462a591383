//! How peers are measured beside each other.
//!
//! Machines are noisy, and their noise comes in waves. So every round measures every peer, one after
//! the other, and what counts is the median of the rounds and its ratio to ours.

use std::time::{Duration, Instant};

/// A peer: its name, and what runs a workload of the given size and says how long it took, or what
/// else it took.
pub(crate) type Peer<'a> = (&'a str, Box<dyn FnMut(u64) -> f64 + 'a>);

/// How many rounds there are.
const ROUNDS: usize = 11;

/// A peer that is measured by the clock.
pub(crate) fn timed<'a>(name: &'a str, mut run: impl FnMut(u64) + 'a) -> Peer<'a> {
    let timed = move |size| {
        let start = Instant::now();
        run(size);
        per(start.elapsed(), size)
    };
    (name, Box::new(timed))
}

/// A peer that measures itself: `run` says how long what counts took.
pub(crate) fn told<'a>(name: &'a str, mut run: impl FnMut(u64) -> Duration + 'a) -> Peer<'a> {
    (name, Box::new(move |size| per(run(size), size)))
}

/// A peer that counts: `run` says how much there was.
pub(crate) fn counted<'a>(name: &'a str, mut run: impl FnMut(u64) -> i64 + 'a) -> Peer<'a> {
    (name, Box::new(move |size| run(size) as f64 / size as f64))
}

/// Nanoseconds for each of `size`.
fn per(time: Duration, size: u64) -> f64 {
    time.as_nanos() as f64 / size as f64
}

/// Prints the medians in `unit`, and their ratios to the first peer's, which is ours. Every round is
/// `size` times the workload.
pub(crate) fn compare(title: &str, unit: &str, size: u64, mut peers: Vec<Peer<'_>>) {
    let wanted = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    if !title.contains(&wanted) {
        return;
    }
    let mut results = vec![Vec::new(); peers.len()];
    // The first round is for the caches.
    for round in 0..=ROUNDS {
        for ((_, run), results) in peers.iter_mut().zip(&mut results) {
            let result = run(size);
            if round > 0 {
                results.push(result);
            }
        }
    }
    println!("\n{title}, {unit}, median of {ROUNDS}");
    let medians = results.iter_mut().map(|results| {
        results.sort_by(f64::total_cmp);
        results[ROUNDS / 2]
    });
    let medians = medians.collect::<Vec<_>>();
    for ((name, _), median) in peers.iter().zip(&medians) {
        let ratio = medians[0] / median;
        println!("  {name:28} {median:12.1}   ours is {ratio:5.2} of it");
    }
}
