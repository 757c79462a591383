// What chapter 13 asks beyond its layer.
//
// The checks play the layer in every order.
// For that, the layer's lock in your file is that of `support/schedules.rs`. It does what std's does, and
// stops each time it is to be taken.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt};

use under_await::ch09_timer::{Elapsed, interval, sleep};

use super::{Either, race, select};

/// Runs `future` for `limit` at most, counted from the first poll. A future that is ready when the
/// time is over still wins. One that is too slow is dropped.
pub async fn timeout<F: IntoFuture>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    // ANCHOR: todo_13_4 a race against a sleep; who should be asked first?
    match race(future, sleep(limit)).await {
        Either::Left(output) => Ok(output),
        Either::Right(()) => Err(Elapsed),
    }
    // ANCHOR_END: todo_13_4
}

/// Calls `work` once and runs it to its end, and calls `beat` meanwhile: at once, unless the work is ready
/// by then, and after that every `period`, counted from when the last beat was due. If a beat takes longer
/// than that, the work still gets its turn. Once the work is ready, there is no beat any more.
pub async fn with_heartbeat<T>(
    work: impl AsyncFn() -> T,
    period: Duration,
    mut beat: impl FnMut(),
) -> T {
    // ANCHOR: todo_13_5 wait in a loop for the work or the next tick; the work is begun once, and wins
    let mut work = pin!(work());
    let mut ticks = interval(period);
    loop {
        select! {
            // When both are ready, the work is done, and no beat comes after its end.
            biased;
            output = &mut work => return output,
            _ = ticks.tick() => beat(),
        }
    }
    // ANCHOR_END: todo_13_5
}

/// What a future of ours waits for. Each is begun, dropped half-way, and begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `listener.accept()`
    Accept,
    /// `stream.read(&mut buffer)`
    Read,
    /// `stream.read_exact(&mut buffer)`
    ReadExact,
    /// `stream.write_all(&bytes)`
    WriteAll,
    /// `socket.recv_from(&mut buffer)`
    RecvFrom,
    /// `&mut receiver`, of a `oneshot`
    BorrowedReceiver,
    /// `receiver`, of a `oneshot`: what is begun anew is the next one
    Receiver,
    /// `interval.tick()`
    Tick,
    /// `sleep(duration)`
    Sleep,
    /// `token.cancelled()`
    Cancelled,
}

/// What a future takes with it when it is dropped half-way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: begun anew, it misses nothing and does nothing twice. It is cancel safe.
    Nothing,
    /// How much was done: bytes that nobody gets, or gets twice.
    Bytes,
    /// The value that was on its way.
    Value,
    /// The time that has been waited for.
    Time,
}

/// What is lost when `operation` is dropped half-way.
pub fn loss(operation: Operation) -> Loss {
    // ANCHOR: todo_13_6 a `match`: for each operation, what is lost with its future
    match operation {
        Operation::Accept | Operation::Read | Operation::RecvFrom => Loss::Nothing,
        Operation::BorrowedReceiver | Operation::Tick | Operation::Cancelled => Loss::Nothing,
        Operation::ReadExact | Operation::WriteAll => Loss::Bytes,
        Operation::Receiver => Loss::Value,
        Operation::Sleep => Loss::Time,
    }
    // ANCHOR_END: todo_13_6
}

/// Reads messages of a fixed length, one after the other.
#[derive(Debug)]
pub struct Messages<R> {
    /// Where they come from.
    reader: R,
    /// The message that is being read.
    buffer: Vec<u8>,
    /// How much of it has come.
    filled: usize,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    /// Messages of `length` bytes, out of `reader`.
    pub fn new(reader: R, length: usize) -> Self {
        Messages { reader, buffer: vec![0; length], filled: 0 }
    }

    /// The next message. Cancel safe: what has come of it is there for the next call. So it is after an
    /// error, be it the reader's, or `UnexpectedEof`, which says that the reader has ended before the
    /// message: a file may grow.
    pub async fn next(&mut self) -> io::Result<Vec<u8>> {
        // ANCHOR: todo_13_7 as `next_hastily`, but what has come outlives the future
        while self.filled < self.buffer.len() {
            let count = self.reader.read(&mut self.buffer[self.filled..]).await?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.filled += count;
        }
        self.filled = 0;
        Ok(self.buffer.clone())
        // ANCHOR_END: todo_13_7
    }

    /// The version to mend. Only the future of `read_exact` knows how much has come.
    pub async fn next_hastily(&mut self) -> io::Result<Vec<u8>> {
        self.reader.read_exact(&mut self.buffer).await?;
        Ok(self.buffer.clone())
    }
}
