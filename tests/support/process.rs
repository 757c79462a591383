//! A test in a process of its own, where other tests add nothing to what it measures.

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::within;

/// In the environment of such a process.
const CHILD: &str = "UNDER_AWAIT_TEST_CHILD";

/// Runs `f` in a process of its own, `within` the limit there. Its reactors ask the kernel by
/// `backend`, if one is named. `test` is the name of the test that calls this: the process starts from
/// there and does not come back.
#[track_caller]
pub fn in_a_process(test: &str, limit: Duration, backend: Option<&str>, f: fn()) {
    if env::var_os(CHILD).is_some() {
        within(limit, f);
        println!("{CHILD} has ended");
        std::process::exit(0);
    }
    let output = Command::new(env::current_exe().expect("a running test has a path"))
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .envs(backend.map(|backend| ("UNDER_AWAIT_REACTOR", backend)))
        .stdin(Stdio::null())
        .output()
        .expect("a test can start itself again");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "by {backend:?}: {}\n{errors}", output.status);
    // A name that no test has would pass as well.
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("{CHILD} has ended")), "no test {test}:\n{said}");
}
