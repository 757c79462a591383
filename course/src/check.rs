//! Checks the reader's file: compiles it, examines it, and says what to do next.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cargo::{self, Built, Errors, Target};
use crate::chapters::Chapter;
use crate::checkout::Checkout;
use crate::failure::{Failure, NOT_YET, Result};
use crate::files;
use crate::memory::{Checked, Memory, fingerprint};
use crate::report;
use crate::term::{self, Busy, GOOD, PATIENCE, TYPE, say, styled};

/// The answer to a check.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All checks pass; here is the exam's report.
    Passes(String),
    /// One does not: the report.
    NotYet(String),
    /// The compiler has something to say first.
    Errors(Errors),
    /// The check was called off.
    CalledOff,
}

/// `cargo course check N`: prints the answer, and returns the exit code.
pub(crate) fn command(checkout: &Checkout, chapters: &[Chapter], chapter: &Chapter) -> Result<u8> {
    let text = files::ready(checkout, chapter)?;
    let busy = Busy::with("checking", PATIENCE);
    let answer = check(checkout, chapter, &text, &busy, || false)?;
    drop(busy);
    print(checkout, chapters, chapter, &answer)?;
    Ok(if matches!(answer, Answer::Passes(_)) { 0 } else { NOT_YET })
}

/// Checks the reader's file, which is known to be fit; `text` is what stands in it. Ends early
/// when `called_off` says so.
pub(crate) fn check(
    checkout: &Checkout,
    chapter: &Chapter,
    text: &str,
    busy: &Busy,
    called_off: impl FnMut() -> bool,
) -> Result<Answer> {
    let executable = match cargo::build(checkout, Target::Test(&chapter.test()), busy)? {
        Built::Executable(executable) => executable,
        Built::Errors(errors) => return Ok(Answer::Errors(errors)),
    };
    busy.now("checking");
    let answer = examine(checkout, chapter, &executable, called_off)?;
    let failed = match &answer {
        Answer::Passes(_) => None,
        Answer::NotYet(report) => {
            Some(report::hole(report, report::WRONG).unwrap_or("todo").to_owned())
        }
        Answer::Errors(_) | Answer::CalledOff => return Ok(answer),
    };
    let mut memory = Memory::of(checkout, chapter);
    memory.checked = Some(Checked { file: fingerprint(text.as_bytes()), failed });
    // What is not remembered is found out again.
    let _ = memory.keep(checkout, chapter);
    Ok(answer)
}

/// Prints an answer and what to do next.
pub(crate) fn print(
    checkout: &Checkout,
    chapters: &[Chapter],
    chapter: &Chapter,
    answer: &Answer,
) -> Result<()> {
    match answer {
        Answer::Passes(report) => {
            say(styled(GOOD.bold(), report.trim_end()))?;
            say(format_args!("\n{}", afterwards(chapters, chapter)))?;
        }
        Answer::NotYet(report) => {
            let place = report::place(checkout, chapter, report);
            say(report::coloured(report, place.as_deref()))?;
        }
        Answer::Errors(errors) => {
            say(errors.text.trim_end())?;
            if let Some(more) = elsewhere(chapter, &errors.file) {
                say(format_args!("\n{more}"))?;
            }
        }
        Answer::CalledOff => {}
    }
    Ok(())
}

/// How often a running exam looks whether it is called off.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the exam, and returns its report as an answer.
fn examine(
    checkout: &Checkout,
    chapter: &Chapter,
    executable: &Path,
    mut called_off: impl FnMut() -> bool,
) -> Result<Answer> {
    let test = format!("examine::chapter_{:02}", chapter.number);
    let failed = |error: std::io::Error| {
        Failure::unusable(format!("{} cannot be run: {error}.", executable.display()))
    };
    let mut exam = Exam(
        Command::new(executable)
            .args([&test, "--exact", "--nocapture"])
            .env("UNDER_AWAIT_BARE", "1")
            .env("RUST_BACKTRACE", "0")
            .current_dir(&checkout.root)
            // The exam ends when this pipe does: even if we are killed, it does not outlive us.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?,
    );
    let pipe = exam.0.stderr.take();
    let (send, report) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What has been read is the report, whatever ends it.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        send.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    let report = loop {
        match report.recv_timeout(LOOK) {
            Ok(report) => break report,
            Err(_) if called_off() => return Ok(Answer::CalledOff),
            Err(_) => {}
        }
    };
    let status = exam.0.wait().map_err(failed)?;
    match status.code() {
        _ if report.trim().is_empty() => Err(Failure::unusable(format!(
            "The exam of chapter {} ended without a report ({status}). `cargo test --test {}` \
             shows all it prints.",
            chapter.number,
            chapter.test()
        ))),
        Some(0) => Ok(Answer::Passes(report)),
        _ => Ok(Answer::NotYet(report)),
    }
}

/// The process of an exam, which is ended when this is dropped.
#[derive(Debug)]
struct Exam(Child);

impl Drop for Exam {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What to do when a chapter passes.
fn afterwards(chapters: &[Chapter], chapter: &Chapter) -> String {
    let number = chapter.number;
    let diff = styled(TYPE, format_args!("cargo course diff {number}"));
    let next = match chapters.iter().find(|other| other.number == number + 1) {
        Some(Chapter { number, written: true, .. }) => {
            let read = styled(TYPE, format_args!("cargo course read {number}"));
            format!("The next chapter:                {read}")
        }
        Some(Chapter { number, name, .. }) => format!("Chapter {number} ({name}) is to come."),
        None => "This was the last chapter.".to_owned(),
    };
    format!("Your code beside the reference:  {diff}\n{next}")
}

/// A sentence on errors that are not where the reader writes.
fn elsewhere(chapter: &Chapter, file: &str) -> Option<String> {
    let file = file.replace('\\', "/");
    let sentence = if file.is_empty() || file.ends_with(&chapter.file()) {
        return None;
    } else if file.contains("tests/suites/") {
        format!("The checks use it: {} has to keep the names it began with.", chapter.file())
    } else if file.contains("tests/") || file.starts_with("src/") || file.starts_with("chapters/") {
        format!(
            "This is not in {}, but in {file}: `git diff {file}` shows what was changed there, and \
             `git restore {file}` puts it back.",
            chapter.file()
        )
    } else {
        return None;
    };
    Some(term::prose(&sentence))
}
