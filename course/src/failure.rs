//! Why a command could not do what it was asked, in a sentence.

use std::io;
use std::path::Path;
use std::process::ExitCode;

/// What a command comes to: a value, or the sentence that says why not.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The exit code of an exercise that does not pass yet.
pub(crate) const NOT_YET: u8 = 1;
/// The exit code of a command that was wrong, or that this machine cannot carry out.
pub(crate) const UNUSABLE: u8 = 2;

/// A sentence for the reader, and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Says what is wrong and what to do. Empty if there is nobody left to read it.
    message: String,
    /// What the process ends with.
    code: u8,
}

impl Failure {
    /// The command was wrong, or the machine cannot do it.
    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Failure { message: message.into(), code: UNUSABLE }
    }

    /// The exercise does not pass yet.
    pub(crate) fn not_yet(message: impl Into<String>) -> Self {
        Failure { message: message.into(), code: NOT_YET }
    }

    /// A file or folder could not be read or written: `doing` is `read`, `write` or `make`.
    pub(crate) fn at(doing: &str, path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        let why = match error.kind() {
            io::ErrorKind::InvalidData => {
                "it is not UTF-8, the encoding of Rust's sources; save it as UTF-8".to_owned()
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => format!(
                "{}. The course writes to tests/ and to cargo's target folder: copy the checkout \
                 to a place that is yours, or set CARGO_TARGET_DIR if it is the target folder",
                reason(error)
            ),
            _ => reason(error),
        };
        Failure::unusable(format!("Cannot {doing} {path}: {why}."))
    }

    /// Says what is wrong on standard error, and gives the code to end with.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            crate::term::note(self.message);
        }
        ExitCode::from(self.code)
    }
}

/// Output that cannot be written. Whoever closed the pipe has read enough: that is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { message: String::new(), code: 0 },
            _ => Failure::unusable(format!("Cannot write the output: {}.", reason(&error))),
        }
    }
}

/// What an error says, without the system's number for it.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
