// What chapter 1 asks beyond its layer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use pin_project_lite::pin_project;

pin_project! {
    /// `async move { f(future.await) }`, by hand.
    #[project = MapState]
    #[project_replace = MapOwned]
    #[derive(Debug)]
    pub enum Map<A, F> {
        /// `future` is being polled, and `f` waits to be called.
        Waiting { #[pin] future: A, f: F },
        /// `f` was called.
        Done,
    }
}

/// What `f` makes of the output of `future`.
pub fn map<A, T, F>(future: A, f: F) -> Map<A, F>
where
    A: Future,
    F: FnOnce(A::Output) -> T,
{
    Map::Waiting { future, f }
}

impl<A, T, F> Future for Map<A, F>
where
    A: Future,
    F: FnOnce(A::Output) -> T,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // ANCHOR: todo_1_3 poll `future`; with its output, take `f` out and call it, once
        let output = match self.as_mut().project() {
            MapState::Waiting { future, .. } => ready!(future.poll(cx)),
            MapState::Done => panic!("`Map` polled after it was ready"),
        };
        match self.project_replace(Map::Done) {
            MapOwned::Waiting { f, .. } => Poll::Ready(f(output)),
            MapOwned::Done => unreachable!("it was `Waiting` a moment ago"),
        }
        // ANCHOR_END: todo_1_3
    }
}

pin_project! {
    /// `async move { f(future.await).await }`, by hand.
    #[project = ThenState]
    #[project_replace = ThenOwned]
    #[derive(Debug)]
    pub enum Then<A, F, B> {
        /// `future` is being polled, and `f` waits to be called.
        First { #[pin] future: A, f: F },
        /// `f` was called and gave `next`, which is being polled.
        Second { #[pin] next: B },
        /// `next` gave the output.
        Done,
    }
}

/// The output of the future that `f` makes of the output of `future`.
pub fn then<A, B, F>(future: A, f: F) -> Then<A, F, B>
where
    A: Future,
    B: Future,
    F: FnOnce(A::Output) -> B,
{
    Then::First { future, f }
}

impl<A, B, F> Future for Then<A, F, B>
where
    A: Future,
    B: Future,
    F: FnOnce(A::Output) -> B,
{
    type Output = B::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B::Output> {
        // ANCHOR: todo_1_4 poll `future`, call `f` with its output, poll what `f` made
        loop {
            match self.as_mut().project() {
                ThenState::First { future, .. } => {
                    let output = ready!(future.poll(cx));
                    match self.as_mut().project_replace(Then::Done) {
                        ThenOwned::First { f, .. } => self.set(Then::Second { next: f(output) }),
                        _ => unreachable!("it was `First` a moment ago"),
                    }
                }
                ThenState::Second { next } => {
                    let output = ready!(next.poll(cx));
                    self.set(Then::Done);
                    return Poll::Ready(output);
                }
                ThenState::Done => panic!("`Then` polled after it was ready"),
            }
        }
        // ANCHOR_END: todo_1_4
    }
}

pin_project! {
    /// A loop with an await inside, by hand:
    ///
    /// ```ignore
    /// async move {
    ///     let mut sum = 0;
    ///     for future in futures {
    ///         sum += future.await;
    ///     }
    ///     sum
    /// }
    /// ```
    #[project = TotalState]
    #[project_replace = TotalOwned]
    #[derive(Debug)]
    pub enum Total<I, A> {
        /// At the head of the loop: no future is being polled.
        Between { rest: I, sum: u32 },
        /// In the body of the loop: `future` is being polled, and `rest` comes after it.
        Inside { rest: I, sum: u32, #[pin] future: A },
        /// The sum is out.
        Done,
    }
}

/// The sum of all `futures`, each polled when the one before it is ready.
pub fn total<I>(futures: I) -> Total<I, I::Item>
where
    I: Iterator,
    I::Item: Future<Output = u32>,
{
    Total::Between { rest: futures, sum: 0 }
}

impl<I, A> Future for Total<I, A>
where
    I: Iterator<Item = A>,
    A: Future<Output = u32>,
{
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        // ANCHOR: todo_1_5 go round the loop until a future is pending or none is left
        loop {
            if let TotalState::Inside { sum, future, .. } = self.as_mut().project() {
                *sum += ready!(future.poll(cx));
            }
            // Whatever was polled is ready now: it is dropped, and the loop's variables move out.
            let (mut rest, sum) = match self.as_mut().project_replace(Total::Done) {
                TotalOwned::Between { rest, sum } | TotalOwned::Inside { rest, sum, .. } => {
                    (rest, sum)
                }
                TotalOwned::Done => panic!("`Total` polled after it was ready"),
            };
            match rest.next() {
                Some(future) => self.set(Total::Inside { rest, sum, future }),
                None => return Poll::Ready(sum),
            }
        }
        // ANCHOR_END: todo_1_5
    }
}

/// Adds up bytes, a thousand at each poll, so that the thread is free for others in between.
#[derive(Debug)]
pub struct Checksum {
    /// The bytes that are not in the sum yet.
    rest: vec::IntoIter<u8>,
    /// The sum of the others.
    sum: u64,
    /// Whether the sum was handed out. Nobody looks at it yet.
    done: bool,
}

/// The sum of `bytes`: pending after each thousand but the last.
pub fn checksum(bytes: Vec<u8>) -> Checksum {
    Checksum { rest: bytes.into_iter(), sum: 0, done: false }
}

impl Checksum {
    /// The version to mend. With the `block_on` of chapter 2, which never sleeps, it works.
    fn poll_hastily(&mut self) -> Poll<u64> {
        for byte in self.rest.by_ref().take(1000) {
            self.sum += u64::from(byte);
        }
        match self.rest.len() {
            0 => Poll::Ready(self.sum),
            _ => Poll::Pending,
        }
    }
}

impl Future for Checksum {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        // ANCHOR: todo_1_6 what `poll_hastily` does, and keep the two rules that it breaks
        assert!(!self.done, "`Checksum` polled after it was ready");
        let answer = self.poll_hastily();
        match answer {
            Poll::Pending => cx.waker().wake_by_ref(),
            Poll::Ready(_) => self.done = true,
        }
        answer
        // ANCHOR_END: todo_1_6
    }
}
