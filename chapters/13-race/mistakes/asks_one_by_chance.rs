// [never-woken] all_are_asked_from_start
//
// Lets chance choose, and asks the chosen one only. If that one is pending, the others have never seen
// the waker, and whichever of them is ready first tells nobody.

use std::task::Poll;

pub fn once_around(
    open: &mut [bool],
    start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    let n = (start % open.len() as u64) as usize;
    poll(n).map(|_| ())
}
