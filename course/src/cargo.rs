//! Builds a test or an example with cargo, and keeps of its output what concerns the reader.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use serde_json::Value;

use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::term::Busy;

/// The package with the layers, the examples and the reader's tests.
const PACKAGE: &str = "under-await";

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// `tests/NAME.rs`.
    Test(&'a str),
    /// `cargo run --example NAME`.
    Example(&'a str),
}

/// What became of a build.
#[derive(Debug)]
pub(crate) enum Built {
    /// The executable.
    Executable(PathBuf),
    /// The compiler's errors.
    Errors(Errors),
}

/// Why something does not compile.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    /// The compiler's own words, in colour.
    pub(crate) text: String,
    /// The file that the first of them points to, as the compiler names it.
    pub(crate) file: String,
}

/// Builds `target` just as plain cargo does at the root of the checkout, so that neither builds
/// again what the other has built.
pub(crate) fn build(checkout: &Checkout, target: Target<'_>, busy: &Busy) -> Result<Built> {
    let first = attempt(checkout, target, &["--offline"], busy)?;
    // What is not on this machine yet is fetched, where there is a network.
    let outcome = if first.lacks_crates() { attempt(checkout, target, &[], busy)? } else { first };
    match outcome {
        Outcome { executable: Some(executable), status, .. } if status.success() => {
            Ok(Built::Executable(executable))
        }
        Outcome { errors, .. } if !errors.text.is_empty() => Ok(Built::Errors(errors)),
        outcome if outcome.lacks_crates() || outcome.lacks_network() => Err(Failure::unusable(
            "Crates that the course needs are not on this machine: `cargo fetch` once, with a \
             network, brings them.",
        )),
        Outcome { said, .. } => {
            Err(Failure::unusable(format!("cargo cannot build this:\n\n{}", said.trim_end())))
        }
    }
}

/// What cargo answered.
#[derive(Debug)]
struct Outcome {
    /// The executable, if one was built.
    executable: Option<PathBuf>,
    /// What the compiler complained about.
    errors: Errors,
    /// What cargo itself had to say.
    said: String,
    /// How cargo ended.
    status: ExitStatus,
}

impl Outcome {
    /// Whether cargo would have liked to download something.
    fn lacks_crates(&self) -> bool {
        !self.status.success()
            && (self.said.contains("--offline") || self.said.contains("offline mode"))
    }

    /// Whether cargo tried to download something, in vain.
    fn lacks_network(&self) -> bool {
        self.said.contains("failed to download")
            || self.said.contains("failed to query replaced source")
            || self.said.contains("Unable to update")
    }
}

/// Lets cargo build `target`, with further arguments.
fn attempt(
    checkout: &Checkout,
    target: Target<'_>,
    further: &[&str],
    busy: &Busy,
) -> Result<Outcome> {
    let (arguments, name) = match target {
        Target::Test(name) => (["test", "--no-run", "--test"].as_slice(), name),
        Target::Example(name) => (["build", "--example"].as_slice(), name),
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .arg(name)
        .arg("--message-format=json-diagnostic-rendered-ansi")
        .args(further)
        .current_dir(&checkout.root)
        .env("CARGO_TARGET_DIR", &checkout.target)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Failure::unusable(format!("cargo cannot be started: {error}. Is it on the PATH?"))
        })?;
    let (output, errors) = (cargo.stdout.take(), cargo.stderr.take());
    let (messages, said) = thread::scope(|scope| {
        let said = scope.spawn(|| listen(errors, busy));
        (messages(output, name), said.join().unwrap_or_default())
    });
    let status = cargo.wait().map_err(|error| {
        Failure::unusable(format!("cargo cannot be waited for: {error}. Try again."))
    })?;
    let (executable, errors) = messages;
    Ok(Outcome { executable, errors, said, status })
}

/// Collects what cargo says on standard error, and tells what it is doing.
fn listen(pipe: Option<impl io::Read>, busy: &Busy) -> String {
    let mut said = String::new();
    for line in lines(pipe) {
        let words = line.split_whitespace().collect::<Vec<_>>();
        match words[..] {
            ["Compiling", PACKAGE, ..] => busy.now("compiling your code"),
            ["Compiling", name, ..] => busy.now(format!("compiling {name}")),
            ["Downloading" | "Downloaded" | "Updating", ..] => busy.now("downloading crates"),
            ["Blocking", ..] => busy.now("waiting for another cargo to finish"),
            _ => {
                said += &line;
                said.push('\n');
            }
        }
    }
    said
}

/// Collects the executable that is called `name`, and the compiler's errors, from the messages
/// that cargo sends, each a line of JSON.
fn messages(pipe: Option<impl io::Read>, name: &str) -> (Option<PathBuf>, Errors) {
    let (mut executable, mut errors) = (None, Errors::default());
    for line in lines(pipe) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        match message["reason"].as_str() {
            Some("compiler-artifact") if message["target"]["name"] == name => {
                executable = message["executable"].as_str().map(PathBuf::from).or(executable);
            }
            Some("compiler-message") => errors.add(&message["message"]),
            _ => {}
        }
    }
    (executable, errors)
}

impl Errors {
    /// Adds a diagnostic, if it is an error and does not merely count the others.
    fn add(&mut self, diagnostic: &Value) {
        let text = diagnostic["message"].as_str().unwrap_or_default();
        if diagnostic["level"] != "error" || text.starts_with("aborting due to") {
            return;
        }
        let spans = diagnostic["spans"].as_array();
        let primary = spans.into_iter().flatten().find(|span| span["is_primary"] == true);
        if let (true, Some(span)) = (self.file.is_empty(), primary) {
            self.file = span["file_name"].as_str().unwrap_or_default().to_owned();
        }
        self.text += diagnostic["rendered"].as_str().unwrap_or(text);
    }
}

/// The lines of a pipe, until it ends.
fn lines(pipe: Option<impl io::Read>) -> impl Iterator<Item = String> {
    let lines = pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n'));
    lines.map_while(|line| Some(String::from_utf8_lossy(&line.ok()?).into_owned()))
}
