// [starves] chance_is_fair
//
// Asks in the order in which the branches stand, every time. As long as the first one is ready, nobody
// else is served: in a server with a busy client in its first branch, Ctrl-C is never heard.

use std::task::Poll;

pub fn once_around(
    open: &mut [bool],
    _start: u64,
    mut poll: impl FnMut(usize) -> Poll<bool>,
) -> Poll<()> {
    for n in 0..open.len() {
        match open[n].then(|| poll(n)) {
            Some(Poll::Ready(true)) => return Poll::Ready(()),
            Some(Poll::Ready(false)) => open[n] = false,
            Some(Poll::Pending) | None => {}
        }
    }
    if open.contains(&true) { Poll::Pending } else { Poll::Ready(()) }
}
