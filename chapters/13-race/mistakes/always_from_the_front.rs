// [starves] chance_is_fair
//
// Asks in the order in which the branches stand, every time. As long as the first one is ready, no other is
// served: in a server with a busy client in its first branch, Ctrl-C is never heard.

use std::task::Poll;

pub fn once_around(
    open: &mut [bool],
    _start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    for (n, open) in open.iter_mut().enumerate().filter(|(_, open)| **open) {
        match poll(n) {
            Poll::Ready(true) => return Poll::Ready(()),
            Poll::Ready(false) => *open = false,
            Poll::Pending => {}
        }
    }
    if open.contains(&true) { Poll::Pending } else { Poll::Ready(()) }
}
