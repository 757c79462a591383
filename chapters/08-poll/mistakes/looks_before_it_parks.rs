// [lost-wake] a_wake_after_the_look_ends_the_sleep
//
// Looks whether it was woken, and only then says that it sleeps. A wake in between finds nobody asleep,
// so it writes nothing, and nobody looks again.

use std::io;
use std::time::Duration;

use under_await::ch08_poll;

pub fn wait(timeout: Option<Duration>, awake: impl Fn() -> bool) -> io::Result<()> {
    let timeout = if awake() { Some(Duration::ZERO) } else { timeout };
    ch08_poll::wait(timeout, || false)
}
