// [polled-after-ready] who_is_out_is_not_asked_again
//
// Does not close the branch whose output did not fit. Its future is done, and is polled once more:
// "`async fn` resumed after completion".

use std::task::Poll;

pub fn once_around(
    open: &mut [bool],
    start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    let count = open.len();
    let mut turns = (0..count).map(|n| (n + start as usize) % count).filter(|n| open[*n]);
    if turns.any(|n| poll(n) == Poll::Ready(true)) { Poll::Ready(()) } else { Poll::Pending }
}
