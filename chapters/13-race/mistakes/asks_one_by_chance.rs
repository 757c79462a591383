// [never-woken] all_are_asked_from_start
//
// Lets chance choose, and asks only the chosen branch. If that one is pending, the others have never seen
// the waker, and the one that is ready first wakes nobody.

use std::task::Poll;

pub fn once_around(
    open: &mut [bool],
    start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    let n = (start % open.len() as u64) as usize;
    poll(n).map(|_| ())
}
