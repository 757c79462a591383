// [data-lost] nobody_is_asked_after_the_winner
//
// Polls both, and looks at the answers only after that. When both are ready at the same poll, one output is
// thrown away: a byte that was read, a connection that was accepted.

pub async fn race<A: IntoFuture, B: IntoFuture>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (std::pin::pin!(a.into_future()), std::pin::pin!(b.into_future()));
    std::future::poll_fn(|cx| match (a.as_mut().poll(cx), b.as_mut().poll(cx)) {
        (std::task::Poll::Ready(output), _) => std::task::Poll::Ready(Either::Left(output)),
        (_, answer) => answer.map(Either::Right),
    })
    .await
}
