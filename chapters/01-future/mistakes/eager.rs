// [ran-too-early] lazy
//
// Polls when it is made, to finish sooner. The waker of that poll does nothing, so a wake that it
// causes is lost; and whoever makes the future and drops it again has run half of it.

use std::pin::Pin;
use std::task::Poll;

use under_await::ch01_future::poll_once;

pub fn add_two<A, B>(a: A, b: B) -> impl Future<Output = u32>
where
    A: Future<Output = u32>,
    B: Future<Output = u32>,
{
    let mut sum = Box::pin(under_await::ch01_future::add_two(a, b));
    let early = poll_once(sum.as_mut());
    async move {
        match early {
            Poll::Ready(sum) => sum,
            Poll::Pending => sum.await,
        }
    }
}
