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
/// Returns how many polls it took; or, if the ball has not moved for as long as `patience`, which of
/// the throws nobody has caught.
pub fn ball_game(throws: u32, patience: Duration, block_on: fn(Player) -> u32) -> Result<u32, u32> {
    let game = Arc::new(Game { throws, thrown: AtomicU32::new(0), players: Default::default() });
    let players = [0, 1].map(|me| {
        let player = Player { me, polls: 0, game: game.clone() };
        thread::spawn(move || block_on(player))
    });
    let (mut latest, mut since) = (0, Instant::now());
    while !players.iter().all(|player| player.is_finished()) {
        thread::sleep(Duration::from_millis(1));
        let thrown = game.thrown.load(Ordering::Relaxed);
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
    throws: u32,
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

        let mut thrown = game.thrown.load(Ordering::Acquire);
        if thrown < game.throws && thrown % 2 == *me as u32 {
            thrown += 1;
            game.thrown.store(thrown, Ordering::Release);
            other.wake_by_ref();
        }
        if thrown == game.throws {
            return Poll::Ready(*polls);
        }
        // Watches the ball for a while, now longer, now less long: so that the next wake comes
        // during this poll, or between the poll and the sleep, or during the sleep.
        let _ = (0..polls % 64).any(|_| game.thrown.load(Ordering::Relaxed) > thrown);
        Poll::Pending
    }
}
