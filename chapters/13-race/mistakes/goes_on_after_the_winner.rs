// [data-lost] the_round_ends_with_the_winner
//
// Remembers that a branch has won, and goes round to the end all the same. A branch that is ready after the
// winner has done its work for nobody.

use std::task::Poll;

pub fn once_around(
    open: &mut [bool],
    start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    let count = open.len();
    let mut answer = Poll::Pending;
    for n in (0..count).map(|n| (n + start as usize) % count) {
        if open[n] && poll(n) == Poll::Ready(true) {
            answer = Poll::Ready(());
        }
    }
    answer
}
