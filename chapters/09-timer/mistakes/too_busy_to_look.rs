// [waits-for-one] asks_for_the_time_to_the_first_deadline
//
// Saves the system call when there is something to do anyway. As long as there is, nobody hears of the
// descriptors: a task that never rests keeps all sockets waiting.

use std::io;

pub fn wait(awake: impl Fn() -> bool) -> io::Result<()> {
    if awake() { Ok(()) } else { under_await::ch09_timer::wait(awake) }
}
