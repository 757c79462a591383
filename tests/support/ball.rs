//! A game that a single lost wake ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Two futures, each run by `block_on` on a thread of its own, throw a ball to and fro. Each throw is
/// a wake, and only a poll can catch it.
///
/// The game is over after so many throws, or when `patience` has passed, if that comes first: a machine
/// may be slow or busy. Returns how many polls it took; or, if the ball has not moved for as long as
/// `patience`, which of the throws nobody has caught.
pub fn ball_game(throws: u32, patience: Duration, block_on: fn(Player) -> u32) -> Result<u32, u32> {
    let (throws, thrown) = (AtomicU32::new(throws), AtomicU32::new(0));
    let game = Arc::new(Game { throws, thrown, players: Default::default() });
    let players = [0, 1].map(|me| {
        let player = Player { me, polls: 0, game: game.clone() };
        thread::spawn(move || block_on(player))
    });
    let start = Instant::now();
    let (mut latest, mut since) = (0, start);
    while !players.iter().all(|player| player.is_finished()) {
        thread::sleep(Duration::from_millis(1));
        let thrown = game.thrown.load(Ordering::Relaxed);
        if start.elapsed() > patience {
            game.throws.fetch_min(thrown + 1, Ordering::Relaxed);
        }
        if thrown != latest {
            (latest, since) = (thrown, Instant::now());
        } else if since.elapsed() > patience {
            return Err(latest);
        }
    }
    Ok(players.into_iter().map(|player| player.join().unwrap()).sum())
}

/// What the players share.
#[derive(Debug)]
struct Game {
    /// After how many throws the game is over.
    throws: AtomicU32,
    /// The throws so far. After an even number it is player 0's turn.
    thrown: AtomicU32,
    /// Each player's waker, once that player is there.
    players: [OnceLock<Waker>; 2],
}

/// One of the two futures. Its output is the number of its polls.
#[derive(Debug)]
pub struct Player {
    /// 0 or 1.
    me: usize,
    polls: u32,
    game: Arc<Game>,
}

impl Future for Player {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        self.polls += 1;
        let Player { me, polls, game } = &*self;
        game.players[*me].get_or_init(|| cx.waker().clone());
        let other = game.players[1 - me].wait();

        let throws = game.throws.load(Ordering::Relaxed);
        let mut thrown = game.thrown.load(Ordering::Acquire);
        if thrown >= throws {
            // The other one may not know yet that it is over.
            other.wake_by_ref();
            return Poll::Ready(*polls);
        }
        if thrown % 2 == *me as u32 {
            thrown += 1;
            game.thrown.store(thrown, Ordering::Release);
            other.wake_by_ref();
        }
        if thrown >= throws {
            return Poll::Ready(*polls);
        }
        // Watches the ball for a while, now longer, now less long: so that the next wake comes
        // during this poll, or between the poll and the sleep, or during the sleep.
        let _ = (0..polls % 64).any(|_| game.thrown.load(Ordering::Relaxed) > thrown);
        Poll::Pending
    }
}
