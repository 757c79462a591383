//! The reader's files: made on first use, never lost.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::chapters::Chapter;
use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::memory::Memory;
use crate::starter;
use crate::term::note;

/// How the checks begin in a reader's file: the first of these that is there decides.
const BEGINNINGS: [&str; 4] =
    ["// ── The checks.", "#[allow(unsafe_code)]\nmod support;", "mod support;", "mod examine {"];

/// The text of the reader's file, fit to be compiled with its checks. Makes the file if there is
/// none, puts its checks back if they are damaged, and says what it did.
pub(crate) fn ready(checkout: &Checkout, chapter: &Chapter) -> Result<String> {
    let starter = Starter::of(checkout, chapter)?;
    match checkout.read_if_there(&chapter.file())? {
        None => make(checkout, chapter, &starter),
        Some(text) => {
            if let Some(edits) = &starter.edits {
                keep_edits(checkout, chapter, edits)?;
            }
            mend(checkout, chapter, text)
        }
    }
}

/// The part of a reader's file above the checks: what readers write.
pub(crate) fn above_the_checks<'a>(chapter: &Chapter, text: &'a str) -> &'a str {
    let tail = starter::tail(&chapter.slug());
    let whole = text.trim_end().strip_suffix(tail.trim());
    let line = |beginning: &&str| text.find(&format!("\n{beginning}"));
    let damaged = || BEGINNINGS.iter().find_map(line).map(|at| &text[..at]);
    whole.or_else(damaged).unwrap_or(text).trim_end()
}

/// Puts the reader's file aside and makes a fresh one.
pub(crate) fn reset(checkout: &Checkout, chapter: &Chapter) -> Result<()> {
    let fresh = Starter::of(checkout, chapter)?.text + &starter::tail(&chapter.slug());
    let file = chapter.file();
    let path = checkout.root.join(&file);
    match fs::read(&path) {
        Ok(bytes) if bytes == fresh.as_bytes() => {
            note(format!("{file} is as fresh as it was made: nothing to reset."));
            return Ok(());
        }
        Ok(bytes) => {
            let backup = back_up(checkout, chapter, &bytes)?;
            note(format!("Your version is kept in {backup}."));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::at("read", Path::new(&file), &error)),
    }
    checkout.write(&file, &fresh)?;
    note(format!("{file} is fresh again."));
    Ok(())
}

/// What a reader begins with.
struct Starter {
    /// The committed starter, or what it should be if it was edited.
    text: String,
    /// What stands in its place, if a reader has filled holes there by mistake.
    edits: Option<String>,
}

impl Starter {
    /// The starter of `chapter`.
    fn of(checkout: &Checkout, chapter: &Chapter) -> Result<Self> {
        let made = chapter.starter(checkout, |_| true)?;
        let Some(committed) = checkout.read_if_there(&chapter.part("starter.rs"))? else {
            return Ok(Starter { text: made, edits: None });
        };
        let open = starter::open_holes(&committed);
        if starter::open_holes(&made).iter().any(|hole| !open.contains(hole)) {
            return Ok(Starter { text: made, edits: Some(committed) });
        }
        // If it merely differs, the layer was changed: readers may, and the exercise stays.
        Ok(Starter { text: committed, edits: None })
    }
}

/// Makes the reader's file: from the starter, or from what the reader wrote into the starter.
fn make(checkout: &Checkout, chapter: &Chapter, starter: &Starter) -> Result<String> {
    let (file, path) = (chapter.file(), chapter.part("starter.rs"));
    let code = starter.edits.as_ref().unwrap_or(&starter.text).trim_end();
    let text = format!("{code}\n{}", starter::tail(&chapter.slug()));
    write_new(checkout, &file, text.as_bytes())
        .map_err(|error| Failure::at("make", Path::new(&file), &error))?;
    if starter.edits.is_some() {
        checkout.write(&path, &starter.text)?;
        note(format!(
            "What you wrote into {path} stands in {file} now, which is yours and is checked; the \
             starter is as it was.\n"
        ));
    } else if Memory::of(checkout, chapter).checked.is_some() {
        note(format!("{file} was gone: here is a fresh one.\n"));
    } else {
        note(format!("{file} is yours now: made from {path}, and ignored by git.\n"));
    }
    Ok(text)
}

/// Saves what a reader has written into the committed starter although there is a file for it.
fn keep_edits(checkout: &Checkout, chapter: &Chapter, edits: &str) -> Result<()> {
    let (file, starter) = (chapter.file(), chapter.part("starter.rs"));
    let backup = back_up(checkout, chapter, edits.as_bytes())?;
    note(format!(
        "{starter} was edited, but what is checked is {file}. The edits are kept in {backup}; \
         `git restore {starter}` puts the starter back.\n"
    ));
    Ok(())
}

/// Puts the checks at the end of the reader's file back, if they are not there whole.
fn mend(checkout: &Checkout, chapter: &Chapter, text: String) -> Result<String> {
    let tail = starter::tail(&chapter.slug());
    if text.trim_end().ends_with(tail.trim()) {
        return Ok(text);
    }
    let file = chapter.file();
    let backup = back_up(checkout, chapter, text.as_bytes())?;
    let mended = above_the_checks(chapter, &text).to_owned() + "\n" + &tail;
    checkout.write(&file, &mended)?;
    note(format!(
        "The checks at the end of {file} were not whole: they are back. The file as it was is \
         kept in {backup}.\n"
    ));
    Ok(mended)
}

/// Keeps `bytes` beside the reader's file, under a name that is still free, and returns that name:
/// `tests/my_04_park.rs.1.bak`. What is kept already is not kept twice.
fn back_up(checkout: &Checkout, chapter: &Chapter, bytes: &[u8]) -> Result<String> {
    let mut number = 1;
    loop {
        let backup = format!("{}.{number}.bak", chapter.file());
        if fs::read(checkout.root.join(&backup)).is_ok_and(|kept| kept == bytes) {
            return Ok(backup);
        }
        match write_new(checkout, &backup, bytes) {
            Ok(()) => return Ok(backup),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Failure::at("make", Path::new(&backup), &error)),
        }
    }
}

/// Writes a file that must not be there yet; `path` begins at the root.
fn write_new(checkout: &Checkout, path: &str, bytes: &[u8]) -> io::Result<()> {
    fs::File::create_new(checkout.root.join(path))?.write_all(bytes)
}
